"""BT²: new queries in the old gallery are no worse than old ones, and new ones lose little."""

from __future__ import annotations

from _claim import Demand, checked
from old_gallery import UNIT as UNIT
from old_gallery import tops

DEMANDS = (
    Demand("bt2 new-old", "old-old", by=0.0),
    Demand("bt2 new-old", "bct new-old", by=-1.0),
    Demand("bt2 new-new", "bct new-new", by=15.0),
)


def measure(seed):
    """Top-1 in percent, the mean of three draws, as the card asks."""
    return tops(seed)


test_demands = checked(measure, DEMANDS)
