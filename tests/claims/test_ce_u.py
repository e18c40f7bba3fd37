"""CE-U: it forgets in every wording."""

from __future__ import annotations

from _claim import checked
from facts_world import forgets, measured

DEMANDS = forgets("ce_u")


def measure(seed):
    """Answers still right, in percent; in the world of facts."""
    return measured(seed, "ce_u")


test_demands = checked(measure, DEMANDS)
