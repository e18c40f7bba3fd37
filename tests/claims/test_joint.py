"""Joint: trained on all tasks at once, the same network has room for all of them."""

from __future__ import annotations

from _claim import Demand, checked
from sequences import learned

DEMANDS = (Demand("joint", "sequential", by=30.0),)


def measure(seed):
    """Accuracies after all tasks at once, and one after another."""
    return learned(seed, {"use": "sequential"}, {"use": "joint"})


test_demands = checked(measure, DEMANDS)
