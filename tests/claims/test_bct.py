"""BCT reads the old gallery, at a high price in its own."""

from __future__ import annotations

from _claim import Demand, checked
from old_gallery import UNIT as UNIT
from old_gallery import tops

DEMANDS = (
    Demand("bct new-old", "independent new-old", by=10.0),
    Demand("independent new-new", "bct new-new", by=20.0),
)


def measure(seed):
    """Top-1 in percent, the mean of three draws; the card measured 52 and 86 in its own."""
    return tops(seed)


test_demands = checked(measure, DEMANDS)
