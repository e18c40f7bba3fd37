"""Free numbers behind those for the old gallery bring most of the new model's quality back."""

from __future__ import annotations

from _claim import Demand, checked
from old_gallery import UNIT as UNIT
from old_gallery import tops

DEMANDS = (
    Demand("extra_dimensions new-old", "independent new-old", by=10.0),
    Demand("extra_dimensions new-new", "bct new-new", by=15.0),
)


def measure(seed):
    """Top-1 in percent, the mean of three draws."""
    return tops(seed)


test_demands = checked(measure, DEMANDS)
