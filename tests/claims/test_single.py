"""Single: a network for each task knows it as no network that learned them all in turn does."""

from __future__ import annotations

from _claim import Demand, checked
from sequences import learned

DEMANDS = (
    Demand("single", "sequential", by=30.0),
    Demand("single", "joint", by=-1.0),
)


def measure(seed):
    """Accuracies of a network for each task, and of one for all."""
    return learned(seed, {"use": "sequential"}, {"use": "joint"}, {"use": "single"})


test_demands = checked(measure, DEMANDS)
