"""Sequences of tasks in a matrix: how they are found, their intervals, and rules about them."""

from dataclasses import replace

import numpy as np
import pytest
from hand_sequences import GIVEN, HAND, TASKS, built, copied, hand, ids, steps, two, value

from bequest.core.errors import RequestError
from bequest.core.outcomes import Outcomes
from bequest.measure.gate import judge
from bequest.measure.intervals import Resampler
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row, comparisons
from bequest.measure.sequences import find_sequence
from bequest.measure.table import Cells
from bequest.report.terminal import _matrix_table


def test_scores_are_those_of_the_rows():
    (one,) = hand().sequences
    assert one.tasks == TASKS
    assert one.learned.own == (1, 2, 3)
    assert one.means() == pytest.approx(HAND)
    assert one.score.name == "accuracy"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("average_accuracy", 2.2 / 3),
        ("bwt", -0.1),
        ("fwt", 0.15),
        ("forgetting", 0.1),
        ("worst_forgetting", 0.3),
        ("learning_accuracy", 0.8),
        ("mtil_transfer", 0.2),
    ],
)
def test_the_cards_matrix(metric, expected):
    estimate = hand().sequences[0].value(metric)
    assert estimate.value == pytest.approx(expected)
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.high - estimate.low > 0.02
    assert (estimate.n, estimate.units) == (300, 300)


def test_tasks_are_taken_in_the_order_of_learning():
    mixed = [steps("cuber")[i] for i in (2, 0, 1)]
    matrix = built(mixed, HAND[[2, 0, 1]][:, [1, 2, 0]], tasks=("b", "c", "a"))
    assert matrix.sequences[0].tasks == TASKS
    assert value(matrix, "bwt") == pytest.approx(-0.1)


def test_the_metric_is_taken_seed_by_seed():
    other = np.array([[0.5, 0.2, 0.1], [0.9, 0.8, 0.3], [0.6, 0.9, 0.7]])
    first, second = built(steps("s"), HAND), built(steps("s"), other)
    outcomes = dict(first.cells.outcomes)
    outcomes |= {(i, task, 1): one for (i, task, _), one in second.cells.outcomes.items()}
    matrix = Matrix(replace(first.cells, seeds=(0, 1), outcomes=outcomes))
    estimate = matrix.sequences[0].value("forgetting")
    assert estimate.seeds == pytest.approx((0.1, 0.1))
    assert estimate.value == pytest.approx(0.1)  # of the mean matrix it would be 0.05
    assert matrix.sequences[0].means()[0, 0] == pytest.approx(0.7)


def test_losses_are_better_when_lower():
    rng = np.random.default_rng(0)
    outcomes = {
        (i, task, 0): Outcomes(ids(task), {"nll": rng.exponential(1 - HAND[i, j], 100)})
        for i in range(3)
        for j, task in enumerate(TASKS)
    }
    (one,) = Matrix(Cells(tuple(steps("s")), TASKS, (0,), outcomes)).sequences
    mean = {key[:2]: found.columns["nll"].mean() for key, found in outcomes.items()}
    expected = (mean[0, "a"] - mean[2, "a"] + mean[1, "b"] - mean[2, "b"]) / 2
    assert one.value("bwt").value == pytest.approx(expected)
    last = [mean[2, task] for task in TASKS]
    assert one.value("average_accuracy").value == pytest.approx(np.mean(last))
    assert one.value("average_perplexity").value == pytest.approx(np.mean(np.exp(last)))
    with pytest.raises(RequestError, match="for accuracy only"):
        one.value("diaz_rem")


def test_references_stand_in_their_lines():
    alone = [Row("ref", f"only {t}", "student", t, "single", 10 + i) for i, t in enumerate(TASKS)]
    joint = Row("ref", "all", "student", line="joint", order=20)
    matrix = built(
        [GIVEN, *steps("cuber"), *alone, joint],
        [[0.1] * 3, *HAND, [0.8] * 3, [0.8] * 3, [0.9] * 3, [0.9] * 3],
    )
    assert len(matrix.sequences) == 1
    assert value(matrix, "fwt_over_single") == pytest.approx(-0.1 / 3)
    assert value(matrix, "intransigence") == pytest.approx(0.2)
    twice = Row("more", "all", "student", line="joint", order=21)
    rows = [*matrix.rows, twice]
    matrix = built(rows, [[0.1] * 3, *HAND, *[[0.8] * 3] * 5])
    with pytest.raises(RequestError, match=r"joint\[3\].*2 rows may be meant"):
        value(matrix, "intransigence")


def test_a_reference_of_one_seed_serves_all_seeds():
    cells = hand((0, 1)).cells
    kept = {key: one for key, one in cells.outcomes.items() if key[0] != 0 or key[2] == 0}
    assert value(Matrix(replace(cells, outcomes=kept)), "fwt") == pytest.approx(0.15)
    kept = {key: one for key, one in cells.outcomes.items() if key != (1, "a", 0)}
    with pytest.raises(RequestError, match=r"R\[1, 1\].*measured with other seeds, \[1\]"):
        value(Matrix(replace(cells, outcomes=kept)), "bwt")


def test_a_missing_cell_is_an_error_that_names_it():
    scores = np.where(np.tri(3, dtype=bool), HAND, np.nan)
    matrix = built([GIVEN, *steps("cuber")], [[0.1] * 3, *scores])
    why = replace(matrix.cells, absent={(1, "b"): "its head does not exist yet"})
    matrix = Matrix(why)
    assert value(matrix, "bwt") == pytest.approx(-0.1)
    assert value(matrix, "forgetting_since_trained") == pytest.approx(0.1)
    with pytest.raises(RequestError, match=r"needs R\[1, 2\], .*: .*its head does not exist yet"):
        value(matrix, "forgetting")
    (result,) = judge(["fwt >= -1"], matrix).results
    assert not result.passed
    assert "fwt needs R[1, 2], which is missing: " in result.reason
    assert "its head does not exist yet" in result.reason


def test_a_task_without_any_number_breaks_the_rules_of_its_sequence_with_the_reason():
    matrix = built([GIVEN, *steps("cuber")], [[0.1] * 3, *HAND])
    kept = {key: one for key, one in matrix.cells.outcomes.items() if key[1] != "b"}
    why = {(row, "b"): "7 of 35 answers are not numbers" for row in range(4)}
    (result,) = judge(
        ["bwt >= -1"], Matrix(replace(matrix.cells, outcomes=kept, absent=why))
    ).results
    assert not result.passed
    assert "no stage has a score on b: 7 of 35 answers are not numbers" in result.reason


def test_learning_a_task_twice_or_judging_tasks_differently_is_an_error():
    rows = [replace(row, learned="a") for row in steps("s")]
    with pytest.raises(RequestError, match="learned a more than once"):
        value(built(rows, HAND), "bwt")
    cells = built(steps("s"), HAND).cells
    outcomes = {
        key: Outcomes(one.sample, {"nll": np.ones(100)}) if key[1] == "c" else one
        for key, one in cells.outcomes.items()
    }
    with pytest.raises(RequestError, match="judged by different metrics"):
        value(Matrix(replace(cells, outcomes=outcomes)), "bwt")


def moments(marks=(0, 1, 2)):
    rows = []
    for i, task in enumerate(TASKS):
        at = len(rows)
        rows += [
            Row("s", f"{task} {e}", "student", order=at + e, at={"checkpoint": e}) for e in marks
        ]
        rows.append(Row("s", f"after {task}", "student", task, order=len(rows), at={"task": i}))
    rows = [replace(row, order=i, after=i - 1 if i else None) for i, row in enumerate(rows)]
    scores = []
    for i in range(3):
        before = HAND[i - 1] if i else np.full(3, 0.1)
        scores += [before, before / 2, HAND[i], HAND[i]]
    return rows, scores


def test_moments_within_tasks_give_learning_curves():
    rows, scores = moments()
    (one,) = built(rows, scores).sequences
    assert one.means() == pytest.approx(HAND)
    curves = np.array([[0.1, 0.05, 0.9], [0.2, 0.1, 0.8], [0.3, 0.15, 0.7]])
    assert one.value("lca").value == pytest.approx(curves.mean())
    assert one.value("libero_fwt").value == pytest.approx(curves.mean())
    assert one.value("libero_nbt").value == pytest.approx(((0.2 + 0.3) / 2 - 0.1) / 3)
    z = curves.mean(axis=0)
    assert one.value("agem_code_lca").value == pytest.approx((z[0] / 2 + z[1] + z[2] / 2) / 2)
    # the worst moments: half of the score before, while the next task was learned
    assert one.value("min_accuracy").value == pytest.approx((0.35 + 0.4) / 2)
    assert one.value("wc_accuracy").value == pytest.approx(0.7 / 3 + 2 / 3 * 0.375)


def test_moments_are_no_stages_of_their_own():
    rows, scores = moments()
    matrix = built(rows, scores)
    assert comparisons(rows) == [(7, 3), (11, 7)]
    assert "after a" in repr(matrix)
    assert "a 1" not in repr(matrix)
    assert _matrix_table(matrix, matrix.tasks).row_count == 3
    assert find_sequence(matrix, "s.b 1") is matrix.sequences[0]


def test_curves_need_the_same_rising_moments_in_every_task():
    with pytest.raises(RequestError, match="was not measured within tasks"):
        value(hand(), "lca")
    rows, scores = moments()
    with pytest.raises(RequestError, match="same rising checkpoints"):
        value(built(rows[1:], scores[1:]), "lca")
    rows[1], rows[2] = (replace(rows[i], at={"checkpoint": 3 - i}) for i in (1, 2))
    with pytest.raises(RequestError, match="same rising checkpoints"):
        value(built(rows, scores), "libero_fwt")


def random_cells(rng, shares, n, shared):
    """Correlated answers whose expected shares are `shares`; all tasks on one id where shared."""
    outcomes = {}
    for j, task in enumerate(TASKS):
        one = rng.random(n)
        for i in range(3):
            again = rng.random(n) < 0.5
            drawn = np.where(again, one, rng.random(n))
            samples = ids("a", n) if shared else ids(task, n)
            outcomes[i, task, 0] = Outcomes(samples, {"correct": drawn < shares[i, j]})
    return Cells(tuple(steps("s")), TASKS, (0,), outcomes)


@pytest.mark.parametrize(("metric", "truth"), [("bwt", -0.1), ("forgetting", 0.1)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(metric, truth):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(150):
        matrix = Matrix(random_cells(rng, HAND, 150, False), Resampler(resamples=200))
        estimate = matrix.sequences[0].value(metric)
        held += estimate.low <= truth <= estimate.high
    assert 0.89 <= held / 150 <= 0.99


def test_forgetting_that_is_none_is_not_surely_some():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        cells = random_cells(rng, np.full((3, 3), 0.7), 150, False)
        estimate = Matrix(cells, Resampler(resamples=200)).sequences[0].value("forgetting")
        held += estimate.low <= 0
    assert held / 60 >= 0.8


def test_tasks_on_the_same_samples_are_paired_and_others_are_independent():
    """The same answers on every task: with shared ids three tasks are as one, else as three."""
    bits = np.random.default_rng(2).random((3, 400)) < 0.7
    widths = {}
    for shared in (True, False):
        outcomes = {
            (i, task, 0): Outcomes(
                np.arange(400) + (0 if shared else 1000 * j), {"correct": bits[i]}
            )
            for i in range(3)
            for j, task in enumerate(TASKS)
        }
        matrix = Matrix(Cells(tuple(steps("s")), TASKS, (0,), outcomes))
        estimate = matrix.sequences[0].value("average_accuracy")
        widths[shared] = estimate.high - estimate.low
        assert estimate.units == (400 if shared else 1200)
    assert widths[True] / widths[False] == pytest.approx(3**0.5, rel=0.12)


def test_a_difference_of_sequences_is_paired():
    matrix = two()
    sequential, cuber = matrix.sequences
    estimate = cuber.value("bwt", sequential)
    assert estimate.value == pytest.approx(0.1)
    same = Matrix(replace(matrix.cells, outcomes=copied(matrix)))
    one, other = same.sequences
    nothing = other.value("bwt", one)
    assert nothing.value == 0
    assert nothing.high - nothing.low < 0.1 < estimate.high - estimate.low
