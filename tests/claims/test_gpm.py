"""GPM: later tasks leave earlier ones alone, where fine-tuning forgets."""

from __future__ import annotations

from _claim import Demand, checked
from moved_concepts import measured

SEEDS = range(10)  # what fine-tuning loses differs so much that five leave its size in doubt
DEMANDS = (Demand("gpm_bwt", "fine_tuning_bwt", by=5.0), Demand("gpm_acc", "fine_tuning_acc", by=0))


def measure(seed):
    """Accuracy and backward transfer of fine-tuning and GPM."""
    return measured(seed, ("fine_tuning", "gpm"))


test_demands = checked(measure, DEMANDS)
