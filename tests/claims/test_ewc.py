"""EWC: held back where it mattered, the network forgets less."""

from __future__ import annotations

from _claim import Demand, checked
from sequences import learned

DEMANDS = (
    Demand("ewc", "sequential", by=5.0),
    Demand("ewc.bwt", "sequential.bwt", by=5.0),
)


def measure(seed):
    """Accuracies with and without the penalty."""
    return learned(seed, {"use": "sequential"}, {"use": "ewc"})


test_demands = checked(measure, DEMANDS)
