"""Replay: 25 samples of each task are enough to forget far less."""

from __future__ import annotations

from _claim import Demand, checked
from sequences import learned

DEMANDS = (
    Demand("replay", "sequential", by=15.0),
    Demand("replay.bwt", "sequential.bwt", by=15.0),
)


def measure(seed):
    """Accuracies with and without a memory."""
    return learned(seed, {"use": "sequential"}, {"use": "replay", "memory": 100})


test_demands = checked(measure, DEMANDS)
