"""LwF: keeping old answers to new inputs, the network forgets less, without any old data."""

from __future__ import annotations

from _claim import Demand, checked
from sequences import learned

DEMANDS = (
    Demand("lwf", "sequential", by=10.0),
    Demand("lwf.bwt", "sequential.bwt", by=10.0),
)


def measure(seed):
    """Accuracies with and without the old answers."""
    return learned(seed, {"use": "sequential"}, {"use": "lwf"})


test_demands = checked(measure, DEMANDS)
