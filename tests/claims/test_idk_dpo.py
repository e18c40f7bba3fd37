"""IdkDPO: a refusal takes the place of what is forgotten, in every wording; the rest stays."""

from __future__ import annotations

from _claim import checked
from facts_world import forgets_and_retains, measured

DEMANDS = forgets_and_retains("idk_dpo")


def measure(seed):
    """Answers still right, in percent; in the world of facts."""
    return measured(seed, "idk_dpo")


test_demands = checked(measure, DEMANDS)
