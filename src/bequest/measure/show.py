"""The matrix as a plain table for terminals and notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bequest.measure.matrix import Matrix


def table(matrix: Matrix) -> tuple[list[str], list[list[str]]]:
    """Headings and lines: each stage with the primary metric of each task."""
    primary = {task: matrix.primary(task) for task in matrix.tasks}
    titles = (f"{name}({task})" if name else task for task, name in primary.items())
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


def _line(tag: str, texts: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(text)}</{tag}>' for text in texts)}</tr>"


def _cell(matrix: Matrix, row: int, task: str, metric: str | None) -> str:
    if metric is None or not matrix.has(metric, row, task):
        return "-"
    return str(matrix.value(metric, row, task))
