""" "Surely" is seldom said where nothing differs; `surely.py` simulates many more cases."""

import pytest
from surely import MOST, false_share

TRIALS = 150
SPREAD = {"deviation": 0.03, "together": 0.0}


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "seeds", "samples", "settings"),
    [
        ("share", 1, 100, SPREAD),
        ("share", 2, 500, SPREAD),
        ("share", 3, 500, {"deviation": 0.03, "together": 0.9}),
        ("skewed", 1, 20, SPREAD),
        ("skewed", 2, 100, SPREAD),
        ("pairs", 2, 100, SPREAD),
        ("share", 2, 100, {**SPREAD, "tasks": 10}),
    ],
)
def test_false_marks_are_rare(kind, seeds, samples, settings):
    error = (MOST * (1 - MOST) / TRIALS) ** 0.5
    assert false_share(kind, seeds, samples, TRIALS, **settings) <= MOST + 2 * error
