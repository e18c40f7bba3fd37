"""GraftLLM: small packs carry whole fine-tunes; routed, they answer all tasks, and merges don't.

The toy does not show that mixed precision is needed, only that many directions in few bits beat few
exact ones.
"""

from __future__ import annotations

from _claim import Demand, checked
from skills import solved

DEMANDS = (
    Demand("pack", "full", by=-1.0),
    Demand("full", "pack", by=-1.0),
    Demand("routed", "best merge", by=30.0),
    Demand("routed on general", "base on general", by=-1.0),
    Demand("full", "sequential on earlier", by=30.0),
    Demand("pack", "2 exact directions", by=10.0),
    Demand("pack", "magnitude 5 %", by=30.0),
)


def measure(seed):
    """Accuracies on three skills and on the general task."""
    return solved(seed)


test_demands = checked(measure, DEMANDS)
