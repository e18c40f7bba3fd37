"""Gold: it knows what is to be retained as `joint` does, and nothing of what is to be forgotten."""

from __future__ import annotations

import tempfile

from _claim import Demand, accuracy, checked

import bequest

DEMANDS = (
    Demand("joint on forgotten", "gold on forgotten", by=40.0),
    Demand("gold on retained", "joint on retained", by=-1.0),
    Demand("20 points", "gold on forgotten", by=0.0),
)


def measure(seed):
    """Accuracies on two sets of ten clusters each, of networks that saw one or both."""
    with tempfile.TemporaryDirectory() as folder:
        gold = bequest.run(_recipe(seed, "gold", "retain", "forget"), out=f"{folder}/gold")
        joint = bequest.run(_recipe(seed, "joint", "learn", "learn"), out=f"{folder}/joint")
        return {
            "gold on retained": round(accuracy(gold, "gold", "retained"), 2),
            "gold on forgotten": round(accuracy(gold, "gold", "forgotten"), 2),
            "joint on retained": round(accuracy(joint, "joint", "retained"), 2),
            "joint on forgotten": round(accuracy(joint, "joint", "forgotten"), 2),
            "20 points": 20.0,
        }


def _recipe(seed, method, *purposes):
    names, draws = ("retained", "forgotten"), (seed, 100 + seed)
    return {
        "models": {"student": {"use": "mlp", "hidden": [64]}},
        "tasks": {
            name: {"use": "sequences:Clusters", "draw": draw, "purpose": purpose}
            for name, draw, purpose in zip(names, draws, purposes, strict=True)
        },
        "method": {"use": method},
        "fit": {
            "epochs": 15,
            "batch_size": 32,
            "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        },
        "seeds": [seed],
    }


test_demands = checked(measure, DEMANDS)
