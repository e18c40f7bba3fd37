"""TRGP: a task that scales what related ones use learns better than under GPM, and as safely."""

from __future__ import annotations

from _claim import Demand, checked
from moved_concepts import measured

DEMANDS = (
    Demand("trgp_acc", "gpm_acc", by=1.0),
    Demand("trgp_bwt", "fine_tuning_bwt", by=5.0),
)


def measure(seed):
    """Accuracy and backward transfer of fine-tuning, GPM and TRGP."""
    return measured(seed, ("fine_tuning", "gpm", "trgp"))


test_demands = checked(measure, DEMANDS)
