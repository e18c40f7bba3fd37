"""Sequences of tasks in a matrix: how they are found, their intervals, and rules about them."""

import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from bequest.core.errors import RequestError
from bequest.core.outcomes import Outcomes
from bequest.measure.gate import judge
from bequest.measure.intervals import Resampler
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row, comparisons
from bequest.measure.rules import check_rules
from bequest.measure.sequences import find_sequence
from bequest.measure.table import Cells
from bequest.report.terminal import matrix_table, sequences_table

TASKS = ("a", "b", "c")
HAND = np.array([[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.6, 0.9, 0.7]])
BETTER = np.array([[0.9, 0.2, 0.1], [0.8, 0.8, 0.3], [0.9, 0.8, 0.7]])
GIVEN = Row("given", "student", "student", line="given")


def ids(task, n=100):
    return np.random.default_rng(ord(task)).integers(-(2**62), 2**62, n)


def right(task, share, n=100, seed=0, unit=None):
    """Answers of which exactly this share is right."""
    order = np.random.default_rng([seed, ord(task)]).permutation(n)
    return Outcomes(ids(task, n), {"correct": order < round(share * n)}, unit=unit)


def steps(name, line="main", first=1):
    return [
        Row(name, f"after {t}", "student", learned=t, line=line, order=first + i)
        for i, t in enumerate(TASKS)
    ]


def built(rows, scores, seeds=(0,), tasks=TASKS):
    """A matrix of rows with these shares of right answers, [rows, tasks]; NaN is not measured."""
    outcomes = {
        (i, task, seed): right(task, scores[i][j], seed=i * (seed + 1))
        for i in range(len(rows))
        for j, task in enumerate(tasks)
        for seed in seeds
        if not np.isnan(scores[i][j])
    }
    return Matrix(Cells(tuple(rows), tuple(tasks), tuple(seeds), outcomes))


def hand(seeds=(0,)):
    return built([GIVEN, *steps("cuber")], [[0.1] * 3, *HAND], seeds)


def two():
    rows = [GIVEN, *steps("sequential"), *steps("cuber", first=4)]
    return built(rows, [[0.1] * 3, *HAND, *BETTER])


def value(matrix, metric, address=None):
    return find_sequence(matrix, address).value(metric).value


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
    with pytest.raises(RequestError, match=r"fwt needs R\[1, 2\]"):
        judge(["fwt >= -1"], matrix)


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
    assert matrix_table(matrix).row_count == 3
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


def copied(matrix):
    return {
        (row, task, seed): matrix.cells.outcomes[row if row < 4 else row - 3, task, seed]
        for row, task, seed in matrix.cells.outcomes
    }


@pytest.mark.parametrize(
    ("rule", "passed"),
    [
        ("bwt @ cuber >= 0", True),
        ("bwt @ sequential >= 0", False),
        ("bwt @ sequential >= -10%", True),
        ("bwt @ cuber vs sequential >= 1%", True),
        ("bwt @ cuber vs sequential >= 11%", False),
        ("bwt @ sequential vs cuber <= -10%", True),
        ("forgetting @ cuber <= 5%", True),
        ("forgetting @ cuber.after_a <= 5%", True),
        ("forgetting @ cuber <= 5% surely", False),
        ("forgetting @ cuber <= 20% surely", True),
        ("average_accuracy @ cuber >= 0.8 surely", False),
        ("fwt @ cuber == 0.15", True),
    ],
)
def test_rules_about_sequences(rule, passed):
    cells = two().cells
    rows = tuple(replace(row, name=row.name.replace(" ", "_")) for row in cells.rows)
    verdict = judge([rule], Matrix(replace(cells, rows=rows)))
    assert verdict.passed is passed


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("bwt >= 0", "there are 2 sequences of tasks: sequential .*, cuber"),
        ("bwt @ student >= 0", "there are 2 sequences"),
        ("bwt @ given.student >= 0", "names no stage of a sequence"),
        ("bwt @ cubr >= 0", "did you mean `cuber`"),
        ("bwt @ cuber vs cuber >= 0", "compares cuber .* with itself"),
        ("bwt @ cuber vs baseline >= 0", "give one with --baseline"),
        ("bwt(a) @ cuber >= 0", "belongs to tasks learned one after another"),
        ("intransigence @ cuber <= 1", "no row of line `joint`"),
        ("lca @ cuber >= 0", "was not measured within tasks"),
    ],
)
def test_rules_that_can_not_be_judged_are_errors(rule, said):
    with pytest.raises(RequestError, match=said):
        judge([rule], two())


def test_without_an_address_the_only_sequence_of_several_tasks_is_meant():
    taught = Row("teach", "trained", "student", learned="a", order=9)
    alone = steps("other", line="alone", first=10)
    rows = [GIVEN, *steps("cuber"), taught, *alone]
    matrix = built(rows, [[0.1] * 3, *HAND, [0.9] * 3, *BETTER])
    assert len(matrix.sequences) == 3
    assert judge(["bwt == -10%"], matrix).passed
    assert judge(["bwt @ alone == 0", "average_accuracy @ teach >= 0.9"], matrix).passed
    with pytest.raises(RequestError, match="bwt is undefined for 1 task"):
        judge(["bwt @ teach >= -1"], matrix)
    with pytest.raises(RequestError, match="undefined for 1 task"):
        judge(["bwt >= -1"], built([GIVEN, taught], [[0.1] * 3, [0.9] * 3]))
    with pytest.raises(RequestError, match="no task was learned"):
        judge(["bwt >= -1"], built([GIVEN], [[0.1] * 3]))


def test_a_baseline_run_is_compared_sequence_with_sequence():
    new = built([GIVEN, *steps("s")], [[0.1] * 3, *BETTER])
    old = built([GIVEN, *steps("s")], [[0.1] * 3, *HAND])
    assert judge(["bwt vs baseline >= 10%"], new, old).passed
    assert not judge(["bwt vs baseline > 10%"], new, old).passed
    cells = old.cells
    moved = {key: replace(one, sample=one.sample + 1) for key, one in cells.outcomes.items()}
    with pytest.raises(RequestError, match="other samples"):
        judge(["bwt vs baseline >= 10%"], new, Matrix(replace(cells, outcomes=moved)))
    other = built(steps("s")[:2], HAND[:2, :2], tasks=TASKS[:2])
    with pytest.raises(RequestError, match="different tasks"):
        judge(["bwt vs baseline >= 10%"], new, other)


def test_names_are_known_before_a_run():
    tasks = dict.fromkeys(TASKS, "logits")
    good = ["bwt >= 0", "bwt @ cuber vs sequential >= 1%", "forgetting @ cuber <= 5% surely"]
    assert check_rules(good, tasks, ["cuber", "sequential"]) == []
    (problem,) = check_rules(["bwtt >= 0"], tasks, [])
    assert "did you mean `bwt`" in str(problem)
    (problem,) = check_rules(["forgetting(a) <= 0"], tasks, [])
    assert "write `forgetting <= 0`" in str(problem)


def test_a_metric_of_a_sequence_is_not_one_of_a_cell():
    matrix = hand()
    with pytest.raises(RequestError, match="ask one of `sequences`"):
        matrix.value("bwt", 3)
    with pytest.raises(RequestError, match="belongs to a cell"):
        matrix.sequences[0].value("accuracy")


def test_json_holds_sequences_where_there_are_any():
    told = json.loads(json.dumps(hand((0, 1)).to_json(), allow_nan=False))
    (one,) = told["sequences"]
    assert (one["step"], one["model"], one["line"]) == ("cuber", "student", "main")
    assert (one["tasks"], one["score"]) == (list(TASKS), "accuracy")
    assert np.array(one["R"]) == pytest.approx(HAND)
    bwt = one["metrics"]["bwt"]
    assert bwt["value"] == pytest.approx(-0.1)
    assert bwt["low"] < -0.1 < bwt["high"]
    assert (len(bwt["by_seed"]), bwt["unit"], bwt["better"]) == (2, "share", "higher")
    assert "no row of line `joint`" in one["skipped"]["intransigence"]
    assert not set(one["skipped"]) & set(one["metrics"])
    assert told["metrics"]["bwt"]["source"].startswith("Lopez-Paz")
    assert "sequences" not in built([GIVEN, steps("s")[0]], [[0.1] * 3, HAND[0]]).to_json()


def test_json_says_why_a_sequence_has_no_metrics():
    rows = [replace(row, learned="a") for row in steps("s")]
    (one,) = built(rows, HAND).to_json()["sequences"]
    assert one["metrics"] == {}
    assert "more than once" in one["skipped"]["score"]


def test_json_is_the_same_whatever_the_steps_are_called():
    cells = hand().cells
    renamed = tuple(
        row if row.line == "given" else replace(row, step="x", name=f"é{i}")
        for i, row in enumerate(cells.rows)
    )
    (before,) = Matrix(cells).to_json()["sequences"]
    (after,) = Matrix(replace(cells, rows=renamed)).to_json()["sequences"]
    assert before["metrics"] == after["metrics"]


def test_the_terminal_shows_them():
    console = Console(width=150, file=StringIO())
    console.print(sequences_table(two()))
    text = console.file.getvalue()
    assert "Learning one task after another" in text
    assert all(word in text for word in ("cuber", "sequential", "BWT", "-0.100", "forgetting"))
    assert sequences_table(built([GIVEN], [[0.1] * 3])) is None
