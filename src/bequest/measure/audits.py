"""Which tasks of a matrix are audits, and the rows they are read beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.measure.matrix import Matrix

GOLD = "gold"
JUDGED_BY = ("recovery", "relearned")  # what an audit records, one or the other


def audits(matrix: Matrix) -> Iterator[tuple[str, str]]:
    """Every audit with the metric that it is judged by."""
    for task in matrix.tasks:
        metric = matrix.primary(task)
        if metric in JUDGED_BY:
            yield task, metric


def gold_row(matrix: Matrix, task: str, metric: str) -> int | None:
    """The last row of a model that never knew, if the audit asked one."""
    own = (i for i, row in enumerate(matrix.rows)
           if row.line == GOLD and matrix.has(metric, i, task))  # fmt: skip
    return max(own, default=None)


def without_gold(matrix: Matrix) -> list[str]:
    """Audits that asked no model which never knew, so that their numbers are no leak yet."""
    return [task for task, metric in audits(matrix) if gold_row(matrix, task, metric) is None]
