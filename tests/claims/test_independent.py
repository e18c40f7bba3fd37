"""An independent new model finds nothing in an old gallery, and most in its own."""

from __future__ import annotations

from _claim import Demand, checked
from old_gallery import UNIT as UNIT
from old_gallery import tops

DEMANDS = (
    Demand("six percent", "independent new-old", by=0.0),
    Demand("independent new-new", "old-old", by=50.0),
)


def measure(seed):
    """Top-1 in percent, the mean of three draws; chance is 2.4."""
    return tops(seed)


test_demands = checked(measure, DEMANDS)
