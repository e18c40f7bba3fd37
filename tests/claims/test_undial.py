"""UNDIAL: it forgets and keeps far more than ascent does, with nothing to retain beside it."""

from __future__ import annotations

from _claim import Demand, checked
from facts_world import forgets, measured

DEMANDS = (
    *forgets("undial"),
    Demand("undial on retained", "grad_ascent on retained", by=30.0),
)


def measure(seed):
    """Answers still right, in percent; in the world of facts."""
    return measured(seed, "undial", "grad_ascent")


test_demands = checked(measure, DEMANDS)
