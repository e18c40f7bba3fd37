"""What the page says first: what the recipe was for."""

import re
from dataclasses import replace

import pytest
from pages import cells, sequence_run, write_run

from bequest.measure.gate import judge
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.rules import judged_by
from bequest.report.page.headline import headlines
from bequest.report.page.heat import heat_data
from bequest.report.page.html import marked
from bequest.report.page.source import read
from bequest.report.page.story import story

ROWS = (
    Row("given", "student", "student", line="given", order=0),
    Row("alone", "trained", "student", learned="digits", line="alone", order=1, after=0),
    Row("distil", "distilled", "student", learned="digits", order=2, after=0),
)
SHARES = [[0.1, 0.9], [0.6, 0.5], [0.95, 0.2]]
TASKS = ("digits", "old")


def said(rows=ROWS, shares=SHARES, rules=(), judged=None):
    matrix = Matrix(cells(rows, shares, tasks=TASKS), judged_by=judged)
    return list(headlines(matrix, judge(rules, matrix).to_json()))


def test_the_reference_line_comes_first_on_what_was_learned():
    (first,) = said()
    assert re.fullmatch(
        r"distil reaches \d\.\d+ accuracy on digits, alone 0\.\d+: can't be told \(\+.*\)\.", first
    )


def test_without_a_reference_line_gain_is_told_beside_loss():
    (first,) = said(ROWS[::2], SHARES[::2])
    assert first.startswith("distil takes student from 0.")
    assert re.search(
        r"accuracy on digits \(surely better\); from 0\.\d+ to .* on old \(surely worse\)", first
    )


def test_what_the_gate_compares_is_told_by_the_metric_of_the_gate():
    first, *_ = said(rules=["cross_entropy(digits) @ distil vs alone <= 0"])
    assert "cross entropy on digits, alone" in first


def test_a_rule_on_flips_is_told_too():
    assert "negative flips on digits of distil beside alone" in " ".join(
        said(rules=["negative_flips(digits) @ distil vs alone <= 50%"])
    )


def test_the_gates_metric_leads_a_task_and_the_usual_one_where_the_gate_asks_for_it_too():
    held = cells(ROWS, SHARES, tasks=TASKS)
    only = judged_by(["calibration_error(digits) <= 50%"])
    both = judged_by(["calibration_error(digits) <= 50%", "accuracy(digits) >= 0.5"])
    assert Matrix(held, judged_by=only).primary("digits") == "calibration_error"
    assert Matrix(held, judged_by=only).primary("old") == "accuracy"
    assert Matrix(held, judged_by=both).primary("digits") == "accuracy"


def test_tasks_with_the_same_samples_are_one_column():
    held = cells(ROWS, SHARES, tasks=TASKS)
    copies = {(row, "again", seed): held.outcomes[row, "digits", seed]
              for row, task, seed in held.outcomes if task == "digits"}  # fmt: skip
    matrix = Matrix(replace(held, tasks=(*TASKS, "again"), outcomes=held.outcomes | copies))
    assert matrix.shown == {"digits": "digits, again", "old": "old"}
    assert {change.task for change in matrix.changes()} == {"digits", "old"}
    one = dict(copies)
    del one[0, "again", 0]
    other = Matrix(replace(held, tasks=(*TASKS, "again"), outcomes=held.outcomes | one))
    assert list(other.shown) == [*TASKS, "again"]


@pytest.fixture
def noted(tmp_path):
    folder = write_run(
        tmp_path / "run",
        cells(ROWS, SHARES, tasks=TASKS),
        title="x",
        recipe={"schema": 1, "models": {}, "method": {"use": "kd"}},
    )
    source = read(folder)
    for name in TASKS:
        source.record["tasks"][name] = {"notes": ["3 exact repeats of samples were left out"]}
    return source


def test_what_was_left_out_of_the_data_stands_at_the_top_once(noted):
    text = re.sub(r"<[^>]+>", " ", story(noted))
    assert text.count("3 exact repeats of samples were left out") == 1
    assert re.search(r"digits and old\s*: 3 exact repeats", text)


def test_how_models_were_read_stands_beside_what_is_to_be_known_of_the_data(noted):
    noted.record["models"] = {"student": {"notes": ["its head is new: `score`"]}, "old": {}}
    said = story(noted)
    text = re.sub(r"<[^>]+>", " ", said)
    assert "About the data and the models: 2 notes" in text
    assert "<b>student</b>: its head is new: <code>score</code>" in said
    noted.record["tasks"] = {}
    assert "About the models: 1 note" in re.sub(r"<[^>]+>", " ", story(noted))


def test_a_backquote_alone_is_no_code():
    assert marked("it`s <b>") == "it`s &lt;b&gt;"
    assert marked("`a<b` and `c`") == "<code>a&lt;b</code> and <code>c</code>"


def test_the_map_begins_with_the_metric_of_the_gate():
    held = cells(ROWS, SHARES, tasks=TASKS)
    rules = ["f1(digits) >= 0.5", "f1(old) >= 0.5"]
    first = heat_data(Matrix(held, judged_by=judged_by(rules)))["metrics"][0]
    assert first["name"] == "f1"
    assert heat_data(Matrix(held))["metrics"][0]["name"] == "accuracy"


def test_no_sentence_speaks_of_it(tmp_path):
    text = re.sub(r"<[^>]+>", "\n", story(read(sequence_run(tmp_path / "run"))))
    assert not re.search(r"\b[Ii]t is surely|Whether it differs", text)
