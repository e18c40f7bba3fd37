"""KD: from few and noisy labels, a teacher's soft answers carry what the labels don't.

A teacher sees 20,000 clean samples; the student 600, of which 20 % have a label drawn at random.
"""

from __future__ import annotations

import tempfile

from _claim import Demand, accuracy, checked

import bequest

DEMANDS = (Demand("kd", "cross_entropy", by=15.0),)
ADAM = {"use": "adam", "lr": 3.0e-3}


def measure(seed):
    """Test accuracies of the teacher, and of the student with and without it."""
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run(_recipe(seed), out=f"{folder}/run")
        return {
            "teacher": accuracy(run, "teach", "clean"),
            "cross_entropy": accuracy(run, "alone", "noisy"),
            "kd": accuracy(run, "distil", "noisy"),
        }


def _recipe(seed):
    labels = {"use": "random_labels:RandomLabels", "draw": seed}
    learn = {"tasks": ["noisy"], "fit": {"steps": 1500, "batch_size": 64}}
    return {
        "models": {
            "teacher": {"use": "mlp", "hidden": [128]},
            "student": {"use": "mlp", "hidden": [32]},
        },
        "tasks": {
            "clean": {**labels, "samples": 20_000},
            "noisy": {**labels, "samples": 600, "noise": 0.2},
        },
        "steps": [
            {
                "name": "teach",
                "method": {"use": "finetune"},
                "models": {"student": "teacher"},
                "tasks": ["clean"],
                "fit": {"steps": 4000, "batch_size": 128},
            },
            {"name": "alone", "method": {"use": "finetune"}, "line": "alone", **learn},
            {
                "name": "distil",
                "method": {"use": "kd", "temperature": 4.0, "alpha": 0.1},
                "models": {"teacher": "teach.student"},
                **learn,
            },
        ],
        "fit": {"optimizer": ADAM},
        "seeds": [seed],
    }


test_demands = checked(measure, DEMANDS)
