"""Students who learn by practice: the controlled problem of the card on CAKT.

240 students are trained on, 60 choose the epoch and 300 are tested. So few are a noisy measure, so
what a claim calls a seed is the mean of three draws of students and weights.
"""

from __future__ import annotations

import tempfile

import numpy as np

import bequest
from bequest.build.tasks.trace import Trace
from bequest.ops.ranking import area_under_curve

UNIT = "points of the area under the curve"
STUDENTS = {"students": 600, "concepts": 10, "active": 5, "answers": 30}
SIDES = {"test": 0.5, "validation": 0.1}
DRAWS = 3


def areas(seed, models, epochs):
    """Area under the curve on the test students, in percent, by the name of each model."""
    each = [_areas(draw, models, epochs) for draw in range(DRAWS * seed, DRAWS * (seed + 1))]
    return {name: _mean([found[name] for found in each]) for name in models}


def _areas(seed, models, epochs):
    steps = [
        {"name": name, "method": {"use": model["use"]}, "models": {"student": name}}
        for name, model in models.items()
    ]
    recipe = {
        "models": models,
        "tasks": {"students": {"use": "trace", "generated": {**STUDENTS, "seed": seed}, **SIDES}},
        "steps": steps,
        "fit": {"epochs": epochs, "batch_size": 30, "optimizer": {"use": "adam", "lr": 3.0e-3}},
        "seeds": [seed],
    }
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run(recipe, out=f"{folder}/run")
        return {name: _area(run, name) for name in models}


def of_concepts(seed):
    """The same where an answer is expected as often as its concept was answered in training."""
    draws = range(DRAWS * seed, DRAWS * (seed + 1))
    return _mean([_of_concepts(draw) for draw in draws])


def _mean(values):
    return round(float(np.mean(values)), 2)


def _of_concepts(seed):
    task = Trace(generated={**STUDENTS, "seed": seed}, **SIDES).load("students")
    trained, tested = task.splits["train"].inputs, task.tested
    share = np.bincount(trained.concept, trained.right) / np.bincount(trained.concept)
    asked = tested.before() >= 0
    weights = np.ones(asked.sum())
    return 100 * float(area_under_curve(share[tested.concept[asked]], tested.right[asked], weights))


def _area(run, step):
    row = next(i for i, row in enumerate(run.matrix.rows) if row.step == step)
    return 100 * run.matrix.value("auc", row, "students").value
