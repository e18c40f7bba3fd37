"""The gate: rules over a finished matrix, judged one by one.

What is ambiguous or was never asked for is an error. What was asked for and has no number, such as
that of a model which answers NaN, breaks its rule and is told by its reason.
"""

from __future__ import annotations

from dataclasses import replace
from math import isclose, isnan, nan
from typing import TYPE_CHECKING

from bequest.core.errors import Problem, RequestError
from bequest.measure.address import find_row
from bequest.measure.beside import beside
from bequest.measure.contrasts import METRICS
from bequest.measure.intervals import Estimate, short
from bequest.measure.missing import NoNumber
from bequest.measure.rules import BASELINE, Op, Rule, form_problems, parse
from bequest.measure.sequences import find_sequence
from bequest.measure.verdict import RuleResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.measure.matrix import Matrix


def judge(rules: Sequence[str], matrix: Matrix, baseline: Matrix | None = None) -> Verdict:
    """Judge every rule.

    baseline: the matrix of the run that `vs baseline` means; its stage of the same address is
    compared on the same samples.

    Raises:
        RequestError: rules that can't be judged, all of them; field `("gate", i)`.
    """
    results, problems = [], []
    for i, text in enumerate(rules):
        try:
            results.append(_judged(parse(text), matrix, baseline))
        except RequestError as error:
            problems += [problem.under("gate", i) for problem in error.problems]
    if problems:
        raise RequestError(problems)
    if baseline is not None and all(result.rule.against != BASELINE for result in results):
        fix = "write one, such as `accuracy(task) vs baseline >= -1%`, or leave the baseline out"
        raise RequestError(Problem("no rule says `vs baseline`", fix))
    return Verdict(tuple(results))


def estimated(rule: Rule, matrix: Matrix, baseline: Matrix | None = None) -> Estimate:
    """The number that a well-formed rule asks about.

    Raises:
        RequestError: the rule is ambiguous, or asks for what was not measured.
    """
    if METRICS[rule.metric].kind == "sequence":
        return _of_sequence(rule, matrix, baseline)
    row, task = find_row(matrix.rows, rule.stage), rule.task or ""
    if rule.against is None:
        return matrix.value(rule.metric, row, task)
    if rule.against == BASELINE:
        other = _there(rule, baseline)
        both = beside(matrix, row, other, _row_of_baseline(rule, matrix, other))
        return _beside_baseline(rule, both)
    against = find_row(matrix.rows, rule.against)
    if against == row:
        fix = "name the other stage as `step.stage`; input models are `given.name`"
        raise _itself(rule, matrix.rows[row].title, fix)
    return matrix.value(rule.metric, row, task, against)


def _judged(rule: Rule, matrix: Matrix, baseline: Matrix | None) -> RuleResult:
    wrong = form_problems(rule)
    if wrong:
        raise RequestError(wrong)
    try:
        estimate = estimated(rule, matrix, baseline)
    except NoNumber as reason:
        return RuleResult(rule, nan, nan, nan, passed=False, reason=str(reason))
    ends = (estimate.low, estimate.high) if rule.surely else (estimate.value,)
    passed = all(holds(end, rule.op, rule.limit) for end in ends)
    return RuleResult(
        rule, estimate.value, estimate.low, estimate.high, passed, _reason(rule, estimate, passed)
    )


def _of_sequence(rule: Rule, matrix: Matrix, baseline: Matrix | None) -> Estimate:
    found = find_sequence(matrix, rule.stage)
    if rule.against is None:
        return found.value(rule.metric)
    if rule.against == BASELINE:
        return found.value(rule.metric, find_sequence(_there(rule, baseline), rule.stage))
    against = find_sequence(matrix, rule.against)
    if against is found:
        raise _itself(rule, found.title, "name the step of another sequence")
    return found.value(rule.metric, against)


def _there(rule: Rule, baseline: Matrix | None) -> Matrix:
    if baseline is None:
        raise RequestError(
            Problem(f"`{rule.text}` needs a run to compare with", "give one with --baseline")
        )
    return baseline


def _row_of_baseline(rule: Rule, matrix: Matrix, baseline: Matrix) -> int:
    """The row of the baseline that the rule means.

    Raises:
        RequestError: it has no such row or task; the message names the run that lacks it.
    """
    tasks = {"the judged run": matrix.tasks, "the baseline run": baseline.tasks}
    for run, known in tasks.items():
        if rule.task and rule.task not in known:
            fix = f"its tasks are {', '.join(known)}"
            raise RequestError(Problem(f"{run} has no task `{rule.task}`", fix))
    try:
        return find_row(baseline.rows, rule.stage)
    except RequestError as error:
        told = [replace(one, what=f"in the baseline run, {one.what}") for one in error.problems]
        raise RequestError(told) from error


def _beside_baseline(rule: Rule, both: Matrix) -> Estimate:
    """The difference of the judged stage and that of the baseline, rows 0 and 1.

    Raises:
        RequestError: they can't be compared; the message says that the baseline is meant.
    """
    try:
        return both.value(rule.metric, 0, rule.task or "", 1)
    except NoNumber:
        raise
    except RequestError as error:
        fix = "the baseline must have been asked the same task on the same test samples"
        raise RequestError(
            [
                replace(one, what=f"beside the baseline run, {one.what}", fix=one.fix or fix)
                for one in error.problems
            ]
        ) from error


def _itself(rule: Rule, title: str, fix: str) -> RequestError:
    return RequestError(Problem(f"`{rule.text}` compares {title} with itself", fix))


def holds(value: float, op: Op, limit: float) -> bool:
    """Whether `value op limit`; false for NaN."""
    # 0.97 - 0.95 is not 0.02 in binary: what a person would call equal is equal
    equal = isclose(value, limit, rel_tol=1e-9, abs_tol=1e-12)
    if op in ("<", ">"):
        return not equal and (value < limit if op == "<" else value > limit)
    return equal or (op == "<=" and value < limit) or (op == ">=" and value > limit)


def _reason(rule: Rule, estimate: Estimate, passed: bool) -> str:
    if isnan(estimate.value):
        return "the value is not a number"
    if passed:
        return ""
    if not holds(estimate.value, rule.op, rule.limit):
        return f"{short(estimate.value)} is not {rule.op} {rule.limit:g}"
    return (
        f"the value would do, but not surely: "
        f"the interval is [{short(estimate.low)}, {short(estimate.high)}]"
    )
