"""What changed for sure and what can't be told, as intervals around zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.measure.contrasts import METRICS
from bequest.report.page.draw import interval_bar
from bequest.report.page.html import Html, join, table, tag
from bequest.report.page.numbers import signed, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bequest.measure.matrix import Change, Matrix

_MARKS = {"surely better": "▲ ", "surely worse": "▼ ", "can't be told": "≈ "}
_CLASSES = {"surely better": "good", "surely worse": "bad", "can't be told": "unsure"}
_MOST = 12  # lines that aren't folded
_HEAD = ("stage", "task", "verdict", "difference", "interval judged", "around zero")


def changes(matrix: Matrix) -> Html:
    """Two tables: against other lines, and against the state each stage goes on from."""
    found = matrix.changes()
    if not found:
        return tag("p", "No two rows can be compared.", class_="soft")
    return join([tag("p", _note(len(matrix.cells.seeds)), class_="soft"), *_tables(matrix, found)])


def verdict_words(change: Change) -> Html:
    """The verdict with a sign, so that colour isn't needed."""
    said = f"{_MARKS[change.verdict]}{change.verdict}"
    return tag("span", said, class_=f"told {_CLASSES[change.verdict]}")


def _note(seeds: int) -> str:
    said = (
        "Every change is measured on the same samples and seeds. “Surely” and the intervals allow "
        "for the number of comparisons: were nothing changed, one “surely” would appear in at most "
        "5 % of runs."
    )
    one = " With one seed this is about these very models: the same methods may end otherwise."
    return said + one if seeds == 1 else said


def _tables(matrix: Matrix, found: Sequence[Change]) -> Iterator[Html]:
    before = [c for c in found if matrix.rows[c.row].after == c.reference]
    beside = [c for c in found if matrix.rows[c.row].after != c.reference]
    for title, own in (("Beside the lines to compare with", beside),
                       ("Since the state before", before)):  # fmt: skip
        if own:
            yield tag("h3", title)
            own = sorted(own, key=lambda change: change.row)
            lines = [_line(matrix, change, own) for change in own]
            yield table(_HEAD, lines[:_MOST], class_="stack")
            if rest := lines[_MOST:]:
                yield tag("details", tag("summary", f"{len(rest)} more"),
                          table(_HEAD, rest, class_="stack"))  # fmt: skip


def _line(matrix: Matrix, change: Change, family: Sequence[Change]) -> list[Html | str]:
    it = change.difference
    ends = [
        abs(end)
        for other in family
        if other.metric == change.metric
        for end in (other.difference.low, other.difference.high)
    ]
    around = max([end for end in ends if end == end], default=0.0) * 1.1 or 1.0
    label = f"{signed(it.value)}, interval {spread(it.low, it.high, sign=True)}"
    better = METRICS[change.metric].better
    hint = f"{change.metric.replace('_', ' ')}" + (", lower is better" if better == "lower" else "")
    other = matrix.rows[change.reference].title
    return [
        join([tag("b", matrix.rows[change.row].title), tag("span", f" after {other}"
              if matrix.rows[change.row].after == change.reference else f" vs {other}",
              class_="soft")]),
        join([change.task, tag("span", f" {hint}", class_="soft")]),
        verdict_words(change),
        signed(it.value),
        spread(it.low, it.high, sign=True),
        interval_bar(it.value, it.low, it.high, (-around, around), label, mark=0.0,
                     class_=_CLASSES[change.verdict]),
    ]  # fmt: skip
