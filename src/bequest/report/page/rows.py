"""What the parts of the page need to know of rows: names, order, ends."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from bequest.measure.rows import GIVEN, MAIN
from bequest.report.page.html import Html, join, tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.measure.matrix import Matrix
    from bequest.measure.rows import Row

_LINES = {GIVEN: "as they came, before anything", MAIN: "what was asked for"}


def whole(rows: Sequence[Row]) -> list[int]:
    """Indices of the rows, but for moments within the learning of a task."""
    return [i for i, row in enumerate(rows) if row.checkpoint is None]


def lines(rows: Sequence[Row]) -> Mapping[str, list[int]]:
    """Indices of the whole rows of each line; input models first, then `main`, then the others."""
    names = dict.fromkeys((GIVEN, MAIN, *(row.line for row in rows)))
    found = {name: [i for i in whole(rows) if rows[i].line == name] for name in names}
    return {name: own for name, own in found.items() if own}


def line_words(line: str) -> Html:
    """A line's name and what it is for; runs side by side have their name before it."""
    about = _LINES.get(line.rpartition(": ")[2], "to compare with")
    return join([tag("b", line), tag("span", f" · {about}", class_="soft")])


def row_name(row: Row) -> Html:
    """A row's address, and the model it is a state of."""
    place = row.name if row.line == GIVEN else row.title
    model = tag("span", f" {row.of}", class_="soft") if row.of != row.name else None
    return tag("span", place, model, class_="name")


def short_name(rows: Sequence[Row], row: int) -> str:
    """What a sentence calls a row: its step where that left one row only, else its address."""
    own = [i for i in whole(rows) if rows[i].step == rows[row].step]
    if rows[row].line == GIVEN:
        return f"{rows[row].name} as given"
    return rows[row].step if len(own) == 1 else rows[row].title


def words(metric: str) -> str:
    """A metric's name in a sentence."""
    return metric.replace("_", " ")


def ends(rows: Sequence[Row]) -> list[int]:
    """Trained rows that no other of the same line goes on from."""
    left = {(row.after, row.line) for row in rows}
    moved = [(i, rows[i].line) for i in whole(rows) if rows[i].line != GIVEN]
    return [i for i, line in moved if (i, line) not in left]


def last_main(rows: Sequence[Row]) -> int | None:
    """The last row of line `main`."""
    return max((i for i, row in enumerate(rows) if row.line == MAIN), default=None)


def metric_range(matrix: Matrix, metric: str, bounds: tuple[float, float]) -> tuple[float, float]:
    """What colours and axes of a metric range over: its bounds, or what was measured."""
    low, high = bounds
    values = [
        value
        for row in range(len(matrix.rows))
        for task in matrix.tasks
        if matrix.has(metric, row, task)
        and isfinite(value := matrix.value(metric, row, task).value)
    ]
    least = low if low > float("-inf") else min(values, default=0.0)
    most = high if high < float("inf") else max(values, default=1.0)
    return least, most if most > least else least + 1.0
