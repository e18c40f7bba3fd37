"""Gradient difference: it forgets in every wording, and most of the rest stays."""

from __future__ import annotations

from _claim import checked
from facts_world import forgets_and_retains, measured

DEMANDS = forgets_and_retains("grad_diff")


def measure(seed):
    """Answers still right, in percent; in the world of facts."""
    return measured(seed, "grad_diff")


test_demands = checked(measure, DEMANDS)
