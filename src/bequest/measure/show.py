"""The matrix as a table: plain for terminals and notebooks, or as a DataFrame."""

from __future__ import annotations

from html import escape
from math import nan
from typing import TYPE_CHECKING

from bequest.measure.metrics import SCORES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from bequest.measure.matrix import Matrix
    from bequest.measure.rows import Row


_COLUMNS = (
    *("step", "stage", "model", "line", "task", "metric"),
    *("value", "low", "high", "samples", "absent"),
)


def table(matrix: Matrix) -> tuple[list[str], list[list[str]]]:
    """Headings and lines: each stage with the primary metric of each task."""
    primary = {task: matrix.primary(task) for task in matrix.shown}
    titles = (f"{name}({matrix.shown[task]})" if name else matrix.shown[task]
              for task, name in primary.items())  # fmt: skip
    headings = ["stage", "line", *titles]
    lines = [
        [row.title, row.line, *(_cell(matrix, i, task, name) for task, name in primary.items())]
        for i, row in enumerate(matrix.rows)
        if row.checkpoint is None
    ]
    return headings, lines


def as_text(matrix: Matrix) -> str:
    """The table in columns of equal width."""
    headings, lines = table(matrix)
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
    padded = (
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in (headings, *lines)
    )
    return "\n".join(padded)


def as_html(matrix: Matrix) -> str:
    """The table as HTML; every name in it is escaped."""
    headings, lines = table(matrix)
    head = _line("th", headings)
    body = "".join(_line("td", line) for line in lines)
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def as_frame(matrix: Matrix) -> pd.DataFrame:
    """One line per stage, task and score; the value is missing where `absent` says why."""
    import pandas as pd

    return pd.DataFrame([*_cells(matrix)], columns=list(_COLUMNS))


def _cells(matrix: Matrix) -> Iterator[tuple[object, ...]]:
    for i, row in enumerate(matrix.rows):
        for task in matrix.tasks:
            found = [metric.name for metric in SCORES if matrix.has(metric.name, i, task)]
            for name in found:
                one = matrix.value(name, i, task)
                yield *_place(row), task, name, one.value, one.low, one.high, one.n, ""
            if not found:
                why = matrix.cells.why_absent(i, task)
                yield *_place(row), task, matrix.primary(task), nan, nan, nan, 0, why


def _place(row: Row) -> tuple[str, str, str, str]:
    return row.step, row.name, row.of, row.line


def _line(tag: str, texts: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(text)}</{tag}>' for text in texts)}</tr>"


def _cell(matrix: Matrix, row: int, task: str, metric: str | None) -> str:
    if metric is None or not matrix.has(metric, row, task):
        return "-"
    return str(matrix.value(metric, row, task))
