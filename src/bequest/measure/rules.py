"""The grammar of gate rules, and what can be said of a rule before anything runs.

    metric(task) [@ stage] [vs stage-or-model] op value [surely]
    cost         [@ stage] [vs stage-or-model] op value [surely]
    bwt          [@ step]  [vs step]           op value [surely]

`op` is one of >= <= > < ==, `value` a number or a percentage. Without `@` the last stage of the
line `main` is meant. Metrics like `bwt` belong to tasks learned one after another: a step, or any
stage in it, names the sequence; without `@` the only one of line `main` is meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Literal, NoReturn

import numpy as np

from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.measure.contrasts import METRICS, unknown_metric
from bequest.measure.rows import GIVEN, MAIN
from bequest.measure.sequence_metrics import SequenceMetric

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from bequest.measure.metric import Metric

Op = Literal[">=", "<=", ">", "<", "=="]
OPS: tuple[Op, ...] = (">=", "<=", "==", ">", "<")
BASELINE = "baseline"
FORM = "a rule reads `metric(task) [@ stage] [vs stage-or-model] op value [surely]`"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ADDRESS = re.compile(r"[^\s<>=@()]+")
_OPERATOR = re.compile(r"[<>=!~]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Rule:
    """One rule of the gate. `limit` is a plain number: 2% is 0.02."""

    text: str
    metric: str
    task: str | None
    stage: str | None
    against: str | None
    op: Op
    limit: float
    surely: bool = False


def parse(text: str) -> Rule:
    """Read a rule.

    Raises:
        RequestError: it is not one; says what was expected at which column.
    """
    scan = _Scan(text)
    metric = scan.need(_NAME, "the name of a metric")
    task = None
    if scan.take("("):
        task = scan.need(_NAME, "the name of a task")
        scan.take(")") or scan.fail("`)`")
    stage = scan.need(_ADDRESS, "a stage") if scan.take("@") else None
    against = scan.need(_ADDRESS, "a stage or model") if scan.word("vs") else None
    op = scan.operator()
    limit = scan.number()
    surely = scan.word("surely")
    scan.end()
    return Rule(text.strip(), metric, task, stage, against, op, limit, surely)


class _Scan:
    """Reads a text from left to right; blanks between words mean nothing."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def need(self, pattern: re.Pattern[str], expected: str) -> str:
        self._skip()
        match = pattern.match(self.text, self.at)
        if match is None:
            self.fail(expected)
        self.at = match.end()
        return match[0]

    def take(self, sign: str) -> bool:
        self._skip()
        found = self.text.startswith(sign, self.at)
        self.at += len(sign) * found
        return found

    def word(self, word: str) -> bool:
        self._skip()
        match = _WORD.match(self.text, self.at)
        found = match is not None and match[0] == word
        self.at += len(word) * found
        return found

    def operator(self) -> Op:
        self._skip()
        match = _OPERATOR.match(self.text, self.at)
        if match is None or match[0] not in OPS:
            said = match[0] if match else ""
            self.fail(f"one of {' '.join(OPS)}", {"=>": ">=", "=<": "<=", "=": "=="}.get(said, ""))
        self.at = match.end()
        return match[0]

    def number(self) -> float:
        self._skip()
        start = self.at
        value = float(self.need(_NUMBER, "a number"))
        if not isfinite(value):
            self.at = start
            self.fail("a finite number")
        return value / 100 if self.take("%") else value

    def end(self) -> None:
        self._skip()
        if self.at < len(self.text):
            left = self.text[self.at :].split()[0]
            self.fail("the end of the rule", did_you_mean(left, ["surely"]))

    def fail(self, expected: str, meant: str = "") -> NoReturn:
        self._skip()
        rest = self.text[self.at :].split()
        found = f"found `{rest[0][:40]}`" if rest else "the rule ends"
        what = f"column {self.at + 1}: expected {expected}, {found}"
        raise RequestError(Problem(f"gate rule `{self.text[:120]}`, {what}", FORM, meant=meant))

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1


def judged_by(rules: Iterable[str]) -> dict[str, list[str]]:
    """For each task the scores that rules ask for, in their order."""
    found: dict[str, list[str]] = {}
    for text in rules:
        rule = parse(text)
        metric = METRICS.get(rule.metric)
        if rule.task and metric and metric.kind == "score":
            found.setdefault(rule.task, []).append(metric.name)
    return found


def check_rules(
    rules: Sequence[str], tasks: Mapping[str, Collection[str]], names: Sequence[str]
) -> list[Problem]:
    """Mistakes in the rules of a recipe, each with the field `("gate", i)`.

    tasks: the columns that each task may record, none where that is not known; names: of all
    steps, models, roles and lines, and of those stages that are known beforehand (others are
    addressed as `step.stage`).
    """
    found = []
    for i, text in enumerate(rules):
        try:
            problems = problems_of(parse(text), tasks, names)
        except RequestError as error:
            problems = error.problems
        found += [problem.under("gate", i) for problem in problems]
    return found


def problems_of(
    rule: Rule, tasks: Mapping[str, Collection[str]], names: Sequence[str]
) -> list[Problem]:
    """Mistakes in one rule that can be seen before a run; see `check_rules`."""
    known = {*names, GIVEN, MAIN}
    places = [(rule.stage, known), (rule.against, {*known, BASELINE})]
    unknown = [
        _unknown("stage or model", place, among)
        for place, among in places
        if place is not None and place.partition(".")[0] not in among
    ]
    about_tasks = [*_task_problems(rule, tasks), *_sequence_problems(rule, tasks)]
    return [*form_problems(rule), *about_tasks, *unknown, *_of_itself(rule)]


def form_problems(rule: Rule) -> list[Problem]:
    """Mistakes in what the rule's metric is given: a task, something to compare with."""
    metric = METRICS.get(rule.metric)
    if metric is None:
        return [unknown_metric(rule.metric)]
    if metric.kind in ("sequence", "cost"):
        owner = "tasks learned one after another" if metric.kind == "sequence" else "a stage"
        right = f"write `{metric.name} {rule.op} {rule.limit:g}`"
        what = f"{metric.name} belongs to {owner}, not to one task"
        return [Problem(what, right)] if rule.task else _never(rule, metric)
    if rule.task is None:
        return [Problem(f"{metric.name} needs a task", f"write `{metric.name}(task)`")]
    if metric.kind == "contrast" and rule.against is None:
        right = f"write `{metric.name}({rule.task}) vs teacher {rule.op} …`"
        return [Problem(f"{metric.name} compares two stages", right)]
    return _never(rule, metric)


def _never(rule: Rule, metric: Metric) -> list[Problem]:
    """What is wrong with a rule that no model can pass: its limit lies beyond all values."""
    compared = rule.against is not None and metric.kind != "contrast"
    low, high = metric.difference_bounds if compared else metric.bounds
    # What is sure ends below the greatest value: no error in 50 samples is not surely none.
    sure = rule.surely and metric.kind in ("score", "contrast")
    possible = {
        ">=": rule.limit < high or (rule.limit == high and not sure),
        "<=": rule.limit > low or (rule.limit == low and not sure),
        ">": rule.limit < high,
        "<": rule.limit > low,
        "==": low <= rule.limit <= high,
    }
    if possible[rule.op]:
        return []
    lies = f"lies between {low:g} and {high:g}"
    if not (isfinite(low) and isfinite(high)):
        lies = f"is at least {low:g}" if isfinite(low) else f"is at most {high:g}"
    subject = f"a difference of {metric.name}" if compared else metric.name
    meant_percent = metric.unit == "share" and 1 < abs(rule.limit) <= 100 and "%" not in rule.text
    fix = f"for percent write `{rule.limit:g}%`" if meant_percent else ""
    return [Problem(f"`{rule.text}` can never hold: {subject} {lies}", fix)]


def _of_itself(rule: Rule) -> list[Problem]:
    if rule.stage is None or rule.stage != rule.against:
        return []
    what = f"`{rule.text}` compares `{rule.stage}` with itself"
    return [Problem(what, "name another stage or model behind `vs`")]


def _task_problems(rule: Rule, tasks: Mapping[str, Collection[str]]) -> list[Problem]:
    if rule.task is None:
        return []
    if rule.task not in tasks:
        return [_unknown("task", rule.task, tasks)]
    metric, recorded = METRICS.get(rule.metric), tasks[rule.task]
    if metric is None or metric.kind == "sequence" or not recorded:
        return []
    lacking = set(metric.needs) - set(recorded)
    if not lacking:
        return []
    what = f"{rule.metric} needs {', '.join(sorted(lacking))}"
    fix = metric.recorded or f"it records {', '.join(sorted(recorded))}"
    return [Problem(f"{what}, which task `{rule.task}` does not record", fix)]


def _sequence_problems(rule: Rule, tasks: Mapping[str, Collection[str]]) -> list[Problem]:
    """What is wrong with a rule about several tasks in turn where there is only one."""
    metric = METRICS.get(rule.metric)
    if not isinstance(metric, SequenceMetric) or metric.needs != ("scores",) or len(tasks) != 1:
        return []
    try:
        metric.value({"scores": np.zeros((1, 1))}, METRICS["accuracy"])
    except RequestError as error:
        return error.problems
    return []


def _unknown(what: str, name: str, among: Iterable[str]) -> Problem:
    known = sorted(among)
    return Problem(
        f"unknown {what} `{name}`",
        f"known are {', '.join(known)}",
        meant=did_you_mean(name, known),
    )
