"""Magnitude: the largest entries alone carry little; a sign each, or a random half, far more."""

from __future__ import annotations

from _claim import Demand, checked
from merging import COMPRESSED, solved

DEMANDS = (
    Demand("dare 50 %", "own", by=-5.0),
    Demand("dare 10 %", "dropped to 10 %", by=20.0),
    Demand("bitdelta", "magnitude 6.25 %", by=25.0),
    Demand("magnitude 20 %", "magnitude 6.25 %", by=0.0),
)


def measure(seed):
    """Accuracies on the donors' own tasks, of the base with each change compressed."""
    return {name: solved(seed)[name] for name in ("own", "base", *COMPRESSED)}


test_demands = checked(measure, DEMANDS)
