"""General transfer: where plain distillation from a weaker teacher harms, data partitioning helps.

The student was told nonsense about classes 0 to 2, the teacher about 3 to 7; knowledge moves from
the weaker to the stronger and, `back`, from the stronger to the weaker. The design favours the
method: random labels make a model unsure exactly where it is wrong.
"""

from __future__ import annotations

import tempfile

from _claim import Demand, accuracy, checked

import bequest

SEEN = 0.01  # of a point, and one test sample makes 0.033: "more than"
DEMANDS = (
    Demand("before", "kl", by=SEEN),
    Demand("supervised", "before", by=15 + SEEN),
    Demand("unsupervised", "before", by=15 + SEEN),
    Demand("loss_allowed", "loss_supervised", by=SEEN),
    Demand("loss_allowed", "loss_unsupervised", by=SEEN),
    Demand("supervised", "unsupervised", by=SEEN - 3),
    Demand("unsupervised", "supervised", by=SEEN - 3),
    Demand("self", "before", by=-SEEN),
    Demand("before", "self", by=-SEEN),
    Demand("back_kl", "back_before", by=SEEN),
    Demand("back_supervised", "back_kl", by=SEEN),
    Demand("back_unsupervised", "back_kl", by=SEEN),
)
PARTITIONS = {
    "kl": "none",
    "supervised": "supervised",
    "unsupervised": "unsupervised",
    "self": "self",
}


def measure(seed):
    """Test accuracies before and after each transfer, and what the student lost by it."""
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run(_recipe(seed), out=f"{folder}/run")
        values = {
            "before": accuracy(run, "stronger", "clean"),
            "back_before": accuracy(run, "weaker", "clean"),
            "loss_allowed": 3.0,
        }
        for name in PARTITIONS:
            values[name] = accuracy(run, name, "clean")
            values[f"back_{name}"] = accuracy(run, f"back_{name}", "clean")
            values[f"loss_{name}"] = _lost(run, name, "stronger")
    return {name: round(value, 4) for name, value in values.items()}  # as the evidence keeps them


def _lost(run, step, before):
    """Share of the test samples that were right before the step and are wrong after it."""
    rows = {row.step: number for number, row in enumerate(run.matrix.rows)}
    return 100 * run.matrix.value("negative_flips", rows[step], "clean", rows[before]).value


def _recipe(seed):
    data = {"use": "half_taught:HalfTaught", "draw": seed}
    return {
        "models": {name: {"use": "mlp", "hidden": [64]} for name in ("one", "other")},
        "tasks": {
            "clean": data,
            "wrong_on_3": {**data, "wrong": [0, 1, 2]},
            "wrong_on_5": {**data, "wrong": [3, 4, 5, 6, 7]},
        },
        "steps": [
            _lesson("stronger", "one", "wrong_on_3"),
            _lesson("weaker", "other", "wrong_on_5"),
            *(_transfer(name, "weaker", "stronger") for name in PARTITIONS),
            *(_transfer(name, "stronger", "weaker", "back_") for name in PARTITIONS),
        ],
        "seeds": [seed],
    }


def _lesson(name, model, task):
    adam = {"use": "adam", "lr": 1.0e-2}
    return {
        "name": name,
        "method": {"use": "finetune"},
        "models": {"student": model},
        "tasks": [task],
        "fit": {"steps": 60, "batch_size": 512, "optimizer": adam},
    }


def _transfer(name, teacher, student, prefix=""):
    sgd = {"use": "sgd", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.0}
    return {
        "name": prefix + name,
        "method": {"use": "general_transfer", "partition": PARTITIONS[name]},
        "models": {"teacher": [f"{teacher}.student"], "student": f"{student}.student"},
        "tasks": ["clean"],
        "fit": {"epochs": 20, "batch_size": 100, "optimizer": sgd},
    }


test_demands = checked(measure, DEMANDS)
