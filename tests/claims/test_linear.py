"""Linear: a soup of runs from one base is as good as its members; of strangers it is none.

Conflicting tasks are not averaged without loss.
"""

from __future__ import annotations

from _claim import Demand, checked
from merging import solved

DEMANDS = (
    Demand("soup", "members", by=-0.3),
    Demand("strangers", "soup of strangers", by=30.0),
    Demand("own", "linear", by=20.0),
)
NAMES = ("own", "base", "linear", "members", "soup", "strangers", "soup of strangers")


def measure(seed):
    """Accuracies on the donors' own tasks, and of soups on one."""
    return {name: solved(seed)[name] for name in NAMES}


test_demands = checked(measure, DEMANDS)
