"""Task arithmetic: scaled sums of changes beat the plain average; conflicting tasks still lose."""

from __future__ import annotations

from _claim import Demand, checked
from merging import solved

DEMANDS = (
    Demand("task arithmetic", "linear", by=8.0, on_average=True),
    Demand("own", "task arithmetic", by=20.0),
)


def measure(seed):
    """Accuracies on the donors' own tasks, of the best of four scales."""
    return {name: solved(seed)[name] for name in ("own", "base", "linear", "task arithmetic")}


test_demands = checked(measure, DEMANDS)
