"""TIES: agreeing entries beat the plain average; conflicting tasks still lose."""

from __future__ import annotations

from _claim import Demand, checked
from merging import solved

DEMANDS = (
    Demand("ties", "linear", by=8.0, on_average=True),
    Demand("own", "ties", by=20.0),
)


def measure(seed):
    """Accuracies on the donors' own tasks, of the best of three scales."""
    return {name: solved(seed)[name] for name in ("own", "base", "linear", "ties")}


test_demands = checked(measure, DEMANDS)
