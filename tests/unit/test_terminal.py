"""A finished run on a terminal: nothing is cut, nothing is told twice."""

from io import StringIO

import pytest
from pages import cells
from rich.console import Console

from bequest.measure.gate import judge
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.report.terminal import compared, show

TASKS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")
ROWS = (
    Row("given", "student", "student", line="given", order=0),
    Row("distil", "distilled-and-sharpened", "student", order=1, after=0),
)
SHARES = [[0.2] * len(TASKS), [0.9] * len(TASKS)]
NO_HEAD = "the model has no head for it"


def printed(width, *, absent=None, rules=()):
    matrix = Matrix(cells(ROWS, SHARES, absent, TASKS))
    console = Console(width=width, file=StringIO())
    show(console, "Seven tasks", matrix, judge(rules, matrix))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [88, 120, 400])
def test_tables_have_as_many_tasks_as_fit_and_no_name_is_cut(width):
    said = printed(width)
    lines = said.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in said.replace(" … ", " ")
    for name in (*TASKS, "95 % interval", "parameters"):
        assert name in said, name
    # Names of stages are not folded.
    assert all(
        line.split()[0] == "distil.distilled-and-sharpened" for line in lines if "distil" in line
    )
    assert len(lines) < 30 if width == 400 else len(lines) > 30


def test_what_was_not_measured_is_told_once_for_each_reason_and_task():
    said = printed(200, absent={(0, "beta"): NO_HEAD, (1, "beta"): NO_HEAD, (0, "eta"): NO_HEAD})
    assert said.count("not measured") == 2
    assert f"given.student, distil.distilled-and-sharpened on beta: not measured, {NO_HEAD}" in said
    assert f"given.student on eta: not measured, {NO_HEAD}" in said


def test_reasons_have_a_column_only_where_a_rule_has_one():
    passed = printed(120, rules=["accuracy(alpha) @ distil >= 0.5"])
    broken = printed(120, rules=["accuracy(alpha) @ distil >= 99.9%"])
    assert "why" not in passed
    assert "why" in broken
    assert "is not >= 0.999" in broken


def test_runs_side_by_side_fit_the_terminal_too():
    matrices = {name: Matrix(cells(ROWS, SHARES, tasks=TASKS)) for name in ("before", "after")}
    console = Console(width=80, file=StringIO())
    for table in compared(console, matrices, {}, dict.fromkeys(TASKS, "accuracy")):
        console.print(table)
    said = console.file.getvalue()
    assert all(name in said for name in TASKS)
    assert said.count("before") == said.count("after") > 1
    assert max(map(len, said.splitlines())) <= 80
