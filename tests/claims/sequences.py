"""An invented sequence of tasks that a small network forgets, and what is left of each task.

Ten normal clusters in 32 dimensions, with their features in four orders; one shared head.
"""

from __future__ import annotations

import tempfile

import numpy as np
from pydantic import Field

import bequest
from bequest import TaskSpec
from bequest.build.classification import Classification, fingerprint
from bequest.core.live import Split

WIDTH, CLASSES, TRAINED, TESTED = 32, 10, 1_000, 2_000
SPREAD = 0.9


class Clusters(TaskSpec):
    """Ten normal clusters in 32 dimensions."""

    draw: int = Field(0, ge=0, description="Which clusters and which samples.")

    def load(self, name: str) -> Classification:
        rng = np.random.default_rng([self.draw, 77])
        means = SPREAD * rng.standard_normal((CLASSES, WIDTH))
        splits = {
            "train": _split(rng, means, TRAINED, 0),
            "test": _split(rng, means, TESTED, TRAINED),
        }
        labels = tuple(str(label) for label in range(CLASSES))
        digest = fingerprint(labels, splits, {"draw": self.draw})
        return Classification(name, self.purpose, "features", (WIDTH,), labels, splits, digest)


def _split(rng, means, count, first):
    targets = rng.integers(0, CLASSES, count)
    inputs = means[targets] + rng.standard_normal((count, WIDTH))
    ids = np.arange(first, first + count, dtype=np.int64)
    return Split(inputs.astype(np.float32), targets.astype(np.int64), ids)


def learned(seed, *methods):
    """What is left of the tasks after each of the methods, on average and in percent.

    By method; by `method.bwt` for what later tasks changed in earlier ones, and by
    `method.when learned` for each task right after it was learned.
    """
    steps = [
        {"name": method["use"], "method": method, "line": _line(method["use"])}
        for method in methods
    ]
    values = {}
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run({**_recipe(seed), "steps": steps}, out=f"{folder}/run")
        for step in steps:
            values |= _values(run.matrix, step["name"])
    return {name: round(float(value), 2) for name, value in values.items()}


def _line(method):
    return method if method in ("single", "joint") else "main"


def _values(matrix, step):
    rows = [number for number, row in enumerate(matrix.rows) if row.step == step]
    if step == "joint":
        return {step: np.mean([_percent(matrix, rows[-1], task) for task in matrix.tasks])}
    own = [_percent(matrix, row, matrix.rows[row].learned) for row in rows]
    if step == "single":
        return {step: np.mean(own)}
    last = [_percent(matrix, rows[-1], matrix.rows[row].learned) for row in rows]
    return {
        step: np.mean(last),
        f"{step}.bwt": np.mean(np.subtract(last, own)[:-1]),
        f"{step}.when learned": np.mean(own),
    }


def _percent(matrix, row, task):
    return 100 * matrix.value("accuracy", row, task).value


def _recipe(seed):
    base = {"use": "sequences:Clusters", "draw": seed}
    return {
        "models": {"student": {"use": "mlp", "hidden": [64]}},
        "tasks": {"order": {"use": "permutations", "parts": 4, "seed": seed, "of": base}},
        "fit": {
            "epochs": 15,
            "batch_size": 32,
            "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        },
        "seeds": [seed],
    }
