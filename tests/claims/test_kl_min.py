"""KL minimisation: it forgets in every wording, and answers the rest nearly as before."""

from __future__ import annotations

from _claim import checked
from facts_world import forgets_and_retains, measured

DEMANDS = forgets_and_retains("kl_min")


def measure(seed):
    """Answers still right, in percent; in the world of facts."""
    return measured(seed, "kl_min")


test_demands = checked(measure, DEMANDS)
