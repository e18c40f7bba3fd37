"""The gate: its grammar, what it refuses, and what it lets pass."""

import json
import math
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bequest.build.settings import OF_LABELS
from bequest.core.errors import RequestError
from bequest.core.outcomes import Outcomes
from bequest.measure.address import find_row
from bequest.measure.gate import holds, judge
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.rules import OPS, Rule, check_rules, form_problems, parse
from bequest.measure.table import Cells
from bequest.measure.verdict import RuleResult, Verdict

ROWS = (
    Row("given", "teacher", "teacher", line="given", order=0),
    Row("given", "student", "student", line="given", order=1),
    Row("single", "trained", "student", line="alone", order=2),
    Row("distil", "half", "student", order=3),
    Row("distil", "trained", "student", order=4),
)
RIGHT = (97, 10, 90, 80, 95)  # of 100 samples, the first so many
TASKS = {"digits": OF_LABELS, "notes": frozenset()}
NAMES = ["teacher", "student", "single", "distil", "alone", "main"]


def invented(right=RIGHT, rows=ROWS, ids=None):
    ids = np.arange(100) if ids is None else ids
    outcomes = {
        (i, "digits", 0): Outcomes(ids, {"correct": np.arange(100) < n})
        for i, n in enumerate(right)
    }
    costs = {i: {"parameters": 1e6 / (i + 1), "seconds": 2.0} for i in range(len(rows))}
    return Matrix(Cells(rows, ("digits", "notes"), (0,), outcomes, {}, costs))


def passes(rule, matrix=None, baseline=None):
    return judge([rule], matrix or invented(), baseline).passed


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("accuracy(digits) >= 0.95", ("accuracy", "digits", None, None, ">=", 0.95, False)),
        (
            "negative_flips(digits) vs teacher <= 2%",
            ("negative_flips", "digits", None, "teacher", "<=", 0.02, False),
        ),
        (
            " accuracy ( digits )@distil.half vs baseline>=-1e-2 surely ",
            ("accuracy", "digits", "distil.half", "baseline", ">=", -0.01, True),
        ),
        ("parameters@distil<1e4", ("parameters", None, "distil", None, "<", 1e4, False)),
        ("bwt == .5 %", ("bwt", None, None, None, "==", 0.005, False)),
    ],
)
def test_rules_are_read(text, rule):
    assert parse(text) == Rule(text.strip(), *rule)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "column 1: expected the name of a metric, the rule ends"),
        ("accuracy(digits >= 2", "column 17: expected `[)]`"),
        ("accuracy(digits) => 0.9", "column 18: .*did you mean `>=`"),
        ("accuracy(digits) = 0.9", "did you mean `==`"),
        ("accuracy(digits) 0.9", "column 18: expected one of >= <= == > <, found `0.9`"),
        ("accuracy(digits) >= high", "column 21: expected a number"),
        ("accuracy(digits) >= 1e999", "column 21: expected a finite number"),
        ("accuracy(digits) >= nan", "expected a number"),
        ("accuracy(digits) >= 0.9 surly", "column 25: .*did you mean `surely`"),
        ("accuracy(digits) @ >= 0.9", "column 20: expected a stage"),
        ("accuracy(digits) vs", "column 20: expected a stage or model, the rule ends"),
        ("accuracy(digits) >= 5 MiB", "expected the end of the rule"),
    ],
)
def test_a_mistake_says_where_it_is(text, said):
    with pytest.raises(RequestError, match=said):
        parse(text)


RULE_LIKE = st.lists(
    st.sampled_from(
        [
            "accuracy",
            "gain",
            "(",
            ")",
            "digits",
            "@",
            "vs",
            "distil",
            ".",
            *OPS,
            "0.5",
            "%",
            "surely",
        ]
    ),
    max_size=12,
).map(" ".join)


@given(st.one_of(st.text(max_size=40), RULE_LIKE))
def test_any_text_is_a_rule_or_a_clear_problem(text):
    try:
        rule = parse(text)
    except RequestError as error:
        assert all(problem.what for problem in error.problems)
    else:
        assert parse(rule.text) == rule
        assert math.isfinite(rule.limit)
    assert isinstance(check_rules([text], TASKS, NAMES), list)
    try:
        judge([text], invented())
    except RequestError as error:
        assert error.problems[0].field == ("gate", 0)


@given(
    st.sampled_from(["accuracy", "gain"]),
    st.sampled_from(["", " @ distil", "@distil.half"]),
    st.sampled_from(["", " vs teacher"]),
    st.sampled_from(OPS),
    st.floats(-1e6, 1e6),
    st.booleans(),
)
def test_what_is_written_is_what_is_read(metric, stage, against, op, limit, surely):
    rule = parse(f"{metric}(digits){stage}{against} {op} {limit!r}{' surely' * surely}")
    assert (rule.metric, rule.op, rule.limit, rule.surely) == (metric, op, limit, surely)
    assert (rule.stage or "") == stage.strip(" @")
    assert (rule.against or "") == against.removeprefix(" vs ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acuracy(digits) >= 1", "did you mean `accuracy`"),
        ("accuracy(digit) >= 1", "did you mean `digits`"),
        ("accuracy(digits) @ distill >= 1", "did you mean `distil`"),
        ("accuracy(digits) @ baseline >= 1", "unknown stage or model `baseline`"),
        ("gain(digits) vs teecher >= 1", "did you mean `teacher`"),
        ("gain(digits) >= 1", "gain compares two stages"),
        ("accuracy >= 1", "needs a task"),
        ("seconds(digits) <= 1", "belongs to a stage"),
        ("accuracy(digits >= 1", "column 17"),
    ],
)
def test_mistakes_are_seen_before_a_run(text, said):
    good = "accuracy(digits) @ distil.anything vs baseline >= 0 surely"
    (problem,) = check_rules([good, text], TASKS, NAMES)
    assert problem.field == ("gate", 1)
    assert said in str(problem)


def test_a_task_that_does_not_record_what_a_metric_needs_is_seen_before_a_run():
    tasks = {**TASKS, "notes": frozenset({"rank"})}
    (problem,) = check_rules(["accuracy(notes) >= 0"], tasks, NAMES)
    assert "accuracy needs correct, which task `notes` does not record" in str(problem)


def test_all_mistakes_of_all_rules_are_reported_at_once():
    rules = ["acc(digit) @ x >= 1", "?"]
    assert [problem.field for problem in check_rules(rules, TASKS, NAMES)] == [
        ("gate", 0),
        ("gate", 0),
        ("gate", 0),
        ("gate", 1),
    ]
    with pytest.raises(RequestError) as caught:
        judge(rules, invented())
    assert [problem.field for problem in caught.value.problems] == [("gate", 0), ("gate", 1)]


@pytest.mark.parametrize(
    ("address", "row"),
    [
        (None, 4),
        ("distil", 4),
        ("distil.half", 3),
        ("half", 3),
        ("teacher", 0),
        ("given.student", 1),
        ("student", 4),
        ("alone", 2),
        ("single.trained", 2),
        ("main", 4),
    ],
)
def test_addresses(address, row):
    assert find_row(ROWS, address) == row


@pytest.mark.parametrize(
    ("rows", "address", "said"),
    [
        (ROWS, "trained", "may mean single.trained .* distil.trained"),
        (ROWS, "distill", "did you mean `distil`"),
        (ROWS[:2], None, "no stage in line `main`"),
        ((*ROWS, replace(ROWS[4], order=4)), None, "may mean"),
        ((*ROWS[:3], replace(ROWS[2], line="joint", step="both")), "student", "may mean"),
        (ROWS, "given", "no stage or model"),
    ],
)
def test_an_address_that_is_not_clear_is_an_error(rows, address, said):
    with pytest.raises(RequestError, match=said):
        find_row(rows, address)


@pytest.mark.parametrize(
    ("rule", "passed"),
    [
        ("accuracy(digits) >= 0.95", True),
        ("accuracy(digits) >= 95%", True),
        ("accuracy(digits) > 95%", False),
        ("accuracy(digits) == 95%", True),
        ("accuracy(digits) @ half >= 0.95", False),
        ("accuracy(digits) vs teacher >= -2%", True),  # 0.95 - 0.97 is not -0.02 in binary
        ("accuracy(digits) vs teacher > -2%", False),
        ("negative_flips(digits) vs teacher <= 2%", True),
        ("negative_flips(digits) vs teacher <= 1.9%", False),
        ("positive_flips(digits) vs alone >= 5%", True),
        ("gain(digits) @ distil vs distil.half >= 15%", True),
        ("accuracy(digits) >= 0.95 surely", False),
        ("accuracy(digits) >= 0.88 surely", True),
        ("accuracy(digits) <= 0.96 surely", False),
        ("accuracy(digits) == 0.95 surely", False),
        ("parameters <= 2e5", True),
        ("parameters @ distil vs teacher <= -8e5 surely", True),
        ("seconds < 2", False),
    ],
)
def test_rules_are_judged(rule, passed):
    verdict = judge([rule], invented())
    assert verdict.passed is passed
    assert verdict.exit_code == (0 if passed else 1)
    assert bool(verdict.results[0].reason) is not passed


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("accuracy(notes) >= 0", "was not measured"),
        ("cross_entropy(digits) <= 9", "does not record nll"),
        ("bytes <= 9", "was not measured"),
        ("accuracy(digits) vs student >= 0", "compares distil.trained with itself"),
        ("accuracy(digits) vs baseline >= 0", "give one with --baseline"),
        ("accuracy(digits) @ trained >= 0", "may mean"),
        ("gain(digits) >= 0", "compares two stages"),
    ],
)
def test_what_can_not_be_judged_is_an_error_and_never_a_pass(rule, said):
    with pytest.raises(RequestError, match=said):
        judge([rule], invented())


def test_a_baseline_is_compared_on_the_same_samples():
    baseline = invented((97, 10, 90, 80, 93))
    assert passes("accuracy(digits) vs baseline >= 2%", baseline=baseline)
    assert passes("negative_flips(digits) @ distil.half vs baseline == 0", baseline=baseline)
    assert not passes("accuracy(digits) vs baseline > 2%", baseline=baseline)
    (result,) = judge(["gain(digits) vs baseline > 0 surely"], invented(), baseline).results
    assert result.low < 0.02 < result.high < 0.08
    assert passes("parameters vs baseline == 0", baseline=baseline)
    with pytest.raises(
        RequestError, match=r"beside the baseline run, .*200 of 100 and 100 don't match"
    ):
        judge(["gain(digits) vs baseline > 0"], invented(ids=np.arange(100) + 500), baseline)


@given(st.sampled_from(OPS), st.floats(-10, 10))
def test_what_is_not_a_number_never_passes(op, limit):
    assert not holds(math.nan, op, limit)


def test_a_value_that_is_not_a_number_fails_with_the_reason():
    cells = invented().cells
    broken = Outcomes(np.arange(100), {"nll": np.full(100, np.nan)})
    matrix = Matrix(replace(cells, outcomes={**cells.outcomes, (4, "digits", 0): broken}))
    verdict = judge(["cross_entropy(digits) <= 9", "cross_entropy(digits) >= 0 surely"], matrix)
    assert [result.passed for result in verdict.results] == [False, False]
    assert "`nll` is not finite for 100 of 100 samples" in verdict.results[0].reason
    assert json.loads(json.dumps(verdict.to_json(), allow_nan=False))["rules"][0]["value"] is None


def test_a_rule_about_a_cell_that_is_absent_fails_with_its_reason():
    cells = invented().cells
    rest = {key: one for key, one in cells.outcomes.items() if key[:2] != (4, "digits")}
    why = "7 of 35 answers are not numbers"
    matrix = Matrix(replace(cells, outcomes=rest, absent={(4, "digits"): why}))
    rules = ["accuracy(digits) >= 0", "accuracy(digits) @ distil.half >= 0",
             "accuracy(digits) @ distil.half vs distil.trained >= -100%"]  # fmt: skip
    verdict = judge(rules, matrix)
    assert [one.passed for one in verdict.results] == [False, True, False]
    assert verdict.exit_code == 1
    assert why in verdict.results[0].reason
    assert why in verdict.results[2].reason
    assert why in verdict.to_markdown()
    assert "nan" not in verdict.to_markdown() + json.dumps(verdict.to_json(), allow_nan=False)


def hostile():
    rule = Rule('a(b) @ <x>"&`|\x00 >= 1', "a", "b", None, None, ">=", 1.0)
    return Verdict((RuleResult(rule, 0.5, 0.4, 0.6, False, "it's | <bad>\n\x1b"),))


def test_junit_is_valid_and_escaped():
    verdict = judge(["accuracy(digits) >= 0.95", "accuracy(digits) > 0.99"], invented())
    suite = ElementTree.fromstring(verdict.to_junit()).find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.find("failure") is not None for case in suite] == [False, True]
    case = ElementTree.fromstring(hostile().to_junit()).find("testsuite/testcase")
    assert case.get("name").startswith('a(b) @ <x>"&`|')


def test_markdown_keeps_to_its_table():
    lines = hostile().to_markdown().splitlines()
    assert lines[0] == "Gate: failed"
    assert len(lines) == 5
    assert lines[-1].count("|") - lines[-1].count("\\|") == 6


def test_the_verdict_as_json():
    told = judge(["accuracy(digits) > 0.99"], invented()).to_json()
    assert told["passed"] is False
    assert told["rules"][0]["reason"] == "0.950 is not > 0.99"
    assert told["rules"][0]["low"] < 0.95 < told["rules"][0]["high"]


NEVER = [
    ("accuracy(t) >= 95", "write `95%`"),
    ("accuracy(t) > 100%", "between 0 and 1"),
    ("accuracy(t) >= 100% surely", "between 0 and 1"),
    ("accuracy(t) @ b vs a >= 1.5", "a difference of accuracy lies between -1 and 1"),
    ("negative_flips(t) @ b vs a <= 0 surely", "between 0 and 1"),
    ("parameters <= -5", "is at least 0"),
    ("cross_entropy(t) == -1", "is at least 0"),
    ("r2(t) >= 1.2", "r2 is at most 1"),
]


@pytest.mark.parametrize(("rule", "said"), NEVER)
def test_a_rule_that_no_model_can_pass_is_refused(rule, said):
    (problem,) = form_problems(parse(rule))
    assert "can never hold" in str(problem)
    assert said in str(problem)


@pytest.mark.parametrize(
    "rule", ["accuracy(t) >= 100%", "accuracy(t) <= 0", "accuracy(t) @ b vs a >= -1", "bwt >= 0"]
)
def test_a_rule_at_the_end_of_what_is_possible_is_none(rule):
    assert form_problems(parse(rule)) == []


def test_a_rule_about_tasks_in_turn_is_refused_where_there_is_one():
    one = {"digits": OF_LABELS}
    for metric in ("bwt", "forgetting", "diaz_bwt"):
        (problem,) = check_rules([f"{metric} >= -1"], one, NAMES)
        assert problem.what == f"{metric} is undefined for 1 task"
        assert check_rules([f"{metric} >= -1"], TASKS, NAMES) == []
    assert check_rules(["average_accuracy >= 0", "mtil_avg >= 0"], one, NAMES) == []


@pytest.mark.parametrize("place", ["distil", "student", "distil.half", "main"])
def test_a_stage_beside_itself_is_seen_before_a_run(place):
    rule = f"accuracy(digits) @ {place} vs {place} >= 0"
    (problem,) = check_rules([rule], TASKS, NAMES)
    assert f"compares `{place}` with itself" in problem.what
    assert problem.field == ("gate", 0)


def test_a_baseline_that_no_rule_uses_is_refused():
    with pytest.raises(RequestError, match="no rule says `vs baseline`"):
        judge(["accuracy(digits) >= 0"], invented(), invented())


def test_a_baseline_without_the_task_or_stage_is_named():
    theirs = invented()
    other = Matrix(replace(theirs.cells, tasks=("notes",), outcomes={}))
    with pytest.raises(RequestError, match="the baseline run has no task `digits`; its tasks are"):
        judge(["accuracy(digits) vs baseline >= 0"], theirs, other)
    renamed = tuple(replace(row, step=f"{row.step}-2") for row in ROWS)
    with pytest.raises(RequestError, match=r"in the baseline run, no stage .* `distil.half`"):
        judge(["accuracy(digits) @ distil.half vs baseline >= 0"], theirs, invented(rows=renamed))
