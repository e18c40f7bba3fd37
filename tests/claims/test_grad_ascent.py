"""Gradient ascent: it forgets in every wording, and with it nearly everything else."""

from __future__ import annotations

from _claim import Demand, checked
from facts_world import forgets, measured

DEMANDS = (
    *forgets("grad_ascent"),
    Demand("20 points", "grad_ascent on retained", by=0.0),
)


def measure(seed):
    """Answers still right, in percent; in the world of facts."""
    return measured(seed, "grad_ascent")


test_demands = checked(measure, DEMANDS)
