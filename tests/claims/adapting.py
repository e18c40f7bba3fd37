"""A target of three labels a class, and sources of noise: the card's controlled problem."""

from __future__ import annotations

import tempfile

from _claim import accuracy

import bequest

CLASSES = 10
SOURCES = {
    "structured": {},
    "weak": {"scale": 0.15},
    "exchanged": {"labels": "exchanged"},
    "uniform": {"distribution": "uniform"},
    "shuffled": {"labels": "shuffled"},
    "common": {"means": "common"},
}


def target(seed, labelled=3):
    """63 samples of each class in 120 dimensions, means of deviation 0.45 in noise of 1."""
    # Noise brings a fifth as many to test, and all but the labelled ones are given without.
    clusters = {"use": "class_noise", "classes": CLASSES, "width": 120, "per_class": 53}
    drawn = {**clusters, "scale": 0.45, "seed": 1000 + seed}
    return {"use": "few_labels", "labelled": labelled, "draw": seed, "of": drawn}


def sources(seed, names=tuple(SOURCES)):
    """Noise in the shared space of 256 dimensions, 50 samples a class."""
    noise = {"use": "class_noise", "classes": CLASSES, "width": 256, "seed": seed}
    return {name: {**noise, **SOURCES[name]} for name in names}


def step(name, method, task, **fit):
    """A step of its own source, or of the target alone."""
    tasks = {"target": ["target"]} | ({"source": [task]} if task else {})
    student = {"models": {"student": method}}
    return {"name": name, "method": {"use": method}, **student, "tasks": tasks, "fit": fit}


def accuracies(seed, tasks, steps):
    """Accuracy on the samples without labels after each step, in percent."""
    used = {each["method"]["use"] for each in steps}
    recipe = {
        "models": {name: {"use": name} for name in used},
        "tasks": tasks,
        "steps": steps,
        "seeds": [seed],
    }
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run(recipe, out=f"{folder}/run")
        names = [each["name"] for each in steps]
        return {name: round(accuracy(run, name, "target"), 2) for name in names}
