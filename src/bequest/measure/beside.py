"""Rows of two runs in one matrix, so that they can be compared sample by sample."""

from __future__ import annotations

from dataclasses import replace

from bequest.measure.matrix import Matrix
from bequest.measure.table import Cells


def beside(mine: Matrix, row: int, theirs: Matrix, other: int) -> Matrix:
    """A matrix of two rows: one of each run."""
    parts = ((mine.cells, row), (theirs.cells, other))
    cells = Cells(
        rows=tuple(replace(cells.rows[i], after=None) for cells, i in parts),
        tasks=tuple(dict.fromkeys((*mine.tasks, *theirs.tasks))),
        seeds=tuple(sorted({*mine.cells.seeds, *theirs.cells.seeds})),
        outcomes={
            (new, task, seed): outcomes
            for new, (cells, old) in enumerate(parts)
            for (at, task, seed), outcomes in cells.outcomes.items()
            if at == old
        },
        absent={
            (new, task): why
            for new, (cells, old) in enumerate(parts)
            for (at, task), why in cells.absent.items()
            if at == old
        },
        costs={new: cells.costs.get(old, {}) for new, (cells, old) in enumerate(parts)},
    )
    return Matrix(cells, mine.resampler, mine.judged_by)
