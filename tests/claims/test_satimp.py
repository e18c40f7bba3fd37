"""Saturation and importance: it forgets in every wording and keeps the rest."""

from __future__ import annotations

from _claim import checked
from facts_world import forgets_and_retains, measured

DEMANDS = forgets_and_retains("satimp")


def measure(seed):
    """Answers still right, in percent; in the world of facts."""
    return measured(seed, "satimp")


test_demands = checked(measure, DEMANDS)
