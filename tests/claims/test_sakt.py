"""SAKT: a student's earlier answers tell more than how hard a concept is."""

from __future__ import annotations

from _claim import Demand, checked
from practising import UNIT as UNIT
from practising import areas, of_concepts

DEMANDS = (Demand("sakt", "concepts alone", by=2.0),)


def measure(seed):
    """Area under the curve on test students, in percent, after fifteen epochs."""
    found = areas(seed, {"sakt": {"use": "sakt", "width": 32, "heads": 4}}, epochs=15)
    return {**found, "concepts alone": of_concepts(seed)}


test_demands = checked(measure, DEMANDS)
