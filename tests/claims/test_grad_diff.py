"""Gradient difference: it forgets in every wording, and most of the rest stays."""

from __future__ import annotations

from _claim import checked
from facts_world import POINTS, forgets_and_retains, forgot

DEMANDS = forgets_and_retains("grad_diff")


def measure(seed):
    """Answers still right, in percent."""
    return {**forgot(seed, {"use": "grad_diff"}), **POINTS}


test_demands = checked(measure, DEMANDS)
