"""Tasks learned one after another: gate rules about them, and where they are told."""

import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from hand_sequences import BETTER, GIVEN, HAND, TASKS, built, hand, steps, two
from rich.console import Console

from bequest.build.settings import OF_LABELS
from bequest.core.errors import RequestError
from bequest.measure.gate import judge
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.rules import check_rules
from bequest.report.terminal import sequences_table


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
    tasks = dict.fromkeys(TASKS, OF_LABELS)
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
