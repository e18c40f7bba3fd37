"""What the recipe was for: what came out, beside what it is to be compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bequest.core.errors import RequestError
from bequest.measure.address import find_row
from bequest.measure.contrasts import METRICS
from bequest.measure.rows import GIVEN, MAIN
from bequest.measure.rules import BASELINE, parse
from bequest.report.page.numbers import number, signed, spread
from bequest.report.page.rows import ends, short_name, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from bequest.measure.intervals import Estimate
    from bequest.measure.matrix import Matrix

_FEW = 3  # so many tasks are told one by one


class Pair(NamedTuple):
    """Two rows that are to be compared on a task, by a score.

    asked: whether a rule of the gate compares them, which is judged by itself and not as one of all
    changes.
    """

    row: int
    other: int
    task: str
    metric: str
    asked: bool = False


def headlines(matrix: Matrix, verdict: Mapping[str, Any] | None) -> Iterator[str]:
    """Sentences on what the gate compares, on reference lines, or else on gain and loss.

    verdict: as in run.json.
    """
    judged = (verdict or {}).get("rules", [])
    groups: dict[tuple[int, int], list[Pair]] = {}
    for pair in (*_of_rules(matrix, judged), *_beside(matrix)):
        own = groups.setdefault((pair.row, pair.other), [])
        if pair.task not in (one.task for one in own):
            own.append(pair)
    for own in groups.values():
        yield _compared(matrix, own)
    yield from _other_rules(judged)
    if not groups:
        yield from _gained(matrix)


def _of_rules(matrix: Matrix, judged: Sequence[Mapping[str, Any]]) -> Iterator[Pair]:
    """Pairs that rules of the gate compare by a score."""
    for one in judged:
        rule = parse(one["rule"])
        if rule.against in (None, BASELINE) or METRICS[rule.metric].kind != "score":
            continue
        try:
            rows = find_row(matrix.rows, rule.stage), find_row(matrix.rows, rule.against)
        except RequestError:  # the verdict says what is wrong with the rule
            continue
        if matrix.has(rule.metric, rows[0], str(rule.task), rows[1]):
            yield Pair(*rows, str(rule.task), rule.metric, asked=True)


def _beside(matrix: Matrix) -> Iterator[Pair]:
    """Ends of line `main` with the reference lines, on what they learned."""
    for change in matrix.changes():
        row, line = matrix.rows[change.row], matrix.rows[change.reference].line
        learned = {each.learned for each in matrix.rows if each.step == row.step} - {None}
        wanted = learned & {*matrix.shown[change.task].split(", ")} or not learned
        if wanted and row.line == MAIN and line not in (GIVEN, MAIN):
            yield Pair(change.row, change.reference, change.task, change.metric)


def _compared(matrix: Matrix, own: Sequence[Pair]) -> str:
    mine, other = (short_name(matrix.rows, i) for i in (own[0].row, own[0].other))
    if len(own) > _FEW:
        told = [_verdict(matrix, pair) for pair in own]
        counted = ", ".join(f"{told.count(word)} {word}" for word in dict.fromkeys(told))
        return f"{mine} beside {other} on {len(own)} tasks: {counted}."
    return f"{'; '.join(_on_a_task(matrix, pair, mine, other) for pair in own)}."


def _on_a_task(matrix: Matrix, pair: Pair, mine: str, other: str) -> str:
    values = [matrix.value(pair.metric, i, pair.task).value for i in (pair.row, pair.other)]
    difference, verdict = _judged(matrix, pair)
    interval = spread(difference.low, difference.high, sign=True)
    return (
        f"{mine} reaches {number(values[0])} {words(pair.metric)} on {pair.task}, "
        f"{other} {number(values[1])}: {verdict} ({signed(difference.value)}, {interval})"
    )


def _verdict(matrix: Matrix, pair: Pair) -> str:
    return _judged(matrix, pair)[1]


def _judged(matrix: Matrix, pair: Pair) -> tuple[Estimate, str]:
    """The difference and its verdict: as one of all changes, else by its own interval."""
    for change in () if pair.asked else matrix.changes():
        if Pair(change.row, change.reference, change.task, change.metric) == pair:
            return change.difference, change.verdict
    difference = matrix.value(pair.metric, pair.row, pair.task, pair.other)
    if difference.low <= 0 <= difference.high:
        return difference, "can't be told"
    higher = METRICS[pair.metric].better == "higher"
    return difference, "better" if (difference.value > 0) == higher else "worse"


def _other_rules(judged: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Rules that compare by something else than a score, such as backward transfer or flips."""
    for one in judged:
        rule = parse(one["rule"])
        known = one["value"] is not None and one["low"] is not None and one["high"] is not None
        if rule.against is None or METRICS[rule.metric].kind == "score" or not known:
            continue
        on = f" on {rule.task}" if rule.task else ""
        compared = f"{rule.stage or 'the last stage'} beside {rule.against}"
        is_difference = METRICS[rule.metric].kind != "contrast"
        value = signed(one["value"]) if is_difference else number(one["value"])
        interval = spread(one["low"], one["high"], sign=is_difference)
        yield f"{words(rule.metric)}{on} of {compared}: {value} ({interval})."


def _gained(matrix: Matrix) -> Iterator[str]:
    """What each end of line `main` gained and lost since it was given."""
    for row in (i for i in ends(matrix.rows) if matrix.rows[i].line == MAIN):
        first = row
        while (before := matrix.rows[first].after) is not None:
            first = before
        told = [
            _from_to(matrix, Pair(row, first, task, metric))
            for task in matrix.shown
            if (metric := matrix.primary(task)) and matrix.has(metric, row, task, first)
        ]
        if told and first != row:
            more = f" and {len(told) - _FEW} tasks more" if len(told) > _FEW else ""
            moved = f"{short_name(matrix.rows, row)} takes {matrix.rows[row].of}"
            yield f"{moved} {'; '.join(told[:_FEW])}{more}."


def _from_to(matrix: Matrix, pair: Pair) -> str:
    before, after = (matrix.value(pair.metric, i, pair.task).value for i in (pair.other, pair.row))
    return (
        f"from {number(before)} to {number(after)} {words(pair.metric)} on {pair.task} "
        f"({_verdict(matrix, pair)})"
    )
