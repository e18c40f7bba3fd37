"""Gradient ascent: it forgets in every wording, and with it nearly everything else."""

from __future__ import annotations

from _claim import Demand, checked
from facts_world import POINTS, forgot

DEMANDS = (
    Demand("30 points", "grad_ascent on forgotten", by=0.0),
    Demand("25 points", "grad_ascent on reworded", by=0.0),
    Demand("20 points", "grad_ascent on retained", by=0.0),
)


def measure(seed):
    """Answers still right, in percent."""
    return {**forgot(seed, {"use": "grad_ascent"}), **POINTS}


test_demands = checked(measure, DEMANDS)
