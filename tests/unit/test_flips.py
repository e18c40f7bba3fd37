"""The flip study against cases computed by hand."""

from __future__ import annotations

from math import isnan, log

import numpy as np
import pytest

from bequest.build.settings import OF_LABELS
from bequest.core.outcomes import Outcomes
from bequest.measure.contrasts import METRICS
from bequest.measure.flips import flip_studies, flip_study, gain_entropy
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.rules import check_rules
from bequest.measure.table import Cells

LABEL = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 3])
BEFORE = np.array([0, 0, 0, 0, 0, 1, 0, 1, 0, 1])
TEACHER = np.array([1, 1, 1, 1, 0, 0, 1, 0, 0, 1])  # positive flips: 3 of class 0, 1 of 1, 1 of 2
AFTER = np.array([1, 1, 0, 1, 1, 0, 0, 1, 1, 1])  # gained: 2 of class 0, 2 of 1, 0 of 2, 1 of 3


def columns(correct, label=LABEL):
    return {"correct": np.asarray(correct, np.uint8), "label": np.asarray(label, np.int32)}


def study(**options):
    return flip_study(columns(BEFORE), columns(AFTER), columns(TEACHER), **options)


def test_what_was_there_and_what_was_gained_by_class():
    assert study().available.tolist() == [3, 1, 1, 0]
    assert study().gained.tolist() == [2, 2, 0, 1]


def test_the_transfer_rate_leaves_out_classes_the_teacher_could_not_help():
    assert study().transfer_rate == pytest.approx(4 / 5)
    assert study().other == pytest.approx(1 / 5)


def test_the_transfer_rate_may_exceed_one():
    found = flip_study(columns([0, 0, 0], [0, 0, 1]), columns([1, 1, 0], [0, 0, 1]),
                       columns([1, 0, 0], [0, 0, 1]))  # fmt: skip
    assert found.transfer_rate == 2


@pytest.mark.parametrize(
    ("share", "gained"), [(1, 2), (60, 2), (61, 4), (80, 4), (81, 4), (100, 4)]
)
def test_leading_classes_together_hold_the_share(share, gained):
    assert study(shares=[share]).top == {share: pytest.approx(gained / 5)}


def test_as_released_counts_one_class_more():
    found = study(as_released=True)
    assert found.top == pytest.approx({2: 4 / 5, 5: 4 / 5, 20: 4 / 5, 50: 4 / 5, 100: 1})
    assert (found.transfer_rate, found.other) == (1, 0)


def test_entropy_of_the_gained_classes():
    expected = -2 * 0.4 * log(0.4) - 0.2 * log(0.2)
    assert study().entropy == pytest.approx(expected)
    even = np.full(len(LABEL), 0.1)
    got = gain_entropy.compute(columns(BEFORE), columns(AFTER), even)
    assert float(got) == pytest.approx(expected)


def test_nothing_to_take_and_nothing_gained_are_not_zero():
    same = flip_study(columns(BEFORE), columns(BEFORE), columns(BEFORE))
    assert isnan(same.transfer_rate)
    assert isnan(same.other)
    assert isnan(same.entropy)
    assert all(map(isnan, same.top.values()))
    even = np.full(len(LABEL), 0.1)
    assert isnan(gain_entropy.compute(columns(BEFORE), columns(BEFORE), even))


def test_entropy_of_many_pairs_and_weights_at_once():
    rng = np.random.default_rng(3)
    before, after = (rng.random((40, 3)) < share for share in (0.3, 0.8))
    labels, weights = rng.integers(0, 4, 40), rng.dirichlet(np.ones(40), size=5)
    stacked = np.repeat(labels[:, None], 3, axis=1)
    together = gain_entropy.compute(columns(before, stacked), columns(after, stacked), weights)
    assert together.shape == (5, 3)
    for i in range(3):
        pair = columns(before[:, i], labels), columns(after[:, i], labels)
        assert together[:, i] == pytest.approx(gain_entropy.compute(*pair, weights))


def cells(samples=LABEL.size):
    rows = [Row("given", "student", "student", line="given"), Row("given", "teacher", "teacher")]
    rows.append(Row("transfer", "transferred", "student", order=2, after=0))
    ids = [np.arange(LABEL.size), np.arange(LABEL.size), np.arange(samples)]
    answers = [BEFORE, TEACHER, AFTER[:samples]]
    outcomes = {
        (number, "task", 0): Outcomes(ids[number], columns(right, LABEL[: len(right)]))
        for number, right in enumerate(answers)
    }
    return Cells(tuple(rows), ("task",), (0,), outcomes)


def test_studies_of_three_rows_of_a_run():
    found = flip_studies(cells(), "task", before=0, after=2, teacher=1)
    assert {seed: one.transfer_rate for seed, one in found.items()} == {0: pytest.approx(4 / 5)}


def test_rows_on_other_samples_are_refused():
    with pytest.raises(ValueError, match="not measured alike on task"):
        flip_studies(cells(samples=8), "task", before=0, after=2, teacher=1)


def test_the_matrix_and_the_gate_know_the_entropy():
    estimate = Matrix(cells()).value("gain_entropy", 2, "task", 0)
    assert estimate.value == pytest.approx(study().entropy)
    assert estimate.low <= estimate.value <= estimate.high
    assert METRICS["gain_entropy"] is gain_entropy
    rule = "gain_entropy(task) vs student >= 1"
    assert not check_rules([rule], {"task": OF_LABELS}, ["student"])
