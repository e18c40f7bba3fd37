"""Sequential: each task is learned as well as alone, and most of it is forgotten."""

from __future__ import annotations

from _claim import Demand, checked
from sequences import learned

DEMANDS = (
    Demand("sequential.when learned", "single", by=-3.0),
    Demand("sequential.when learned", "sequential", by=20.0),
)


def measure(seed):
    """Accuracies of one network after another, and of one for each task."""
    return learned(seed, {"use": "sequential"}, {"use": "single"})


test_demands = checked(measure, DEMANDS)
