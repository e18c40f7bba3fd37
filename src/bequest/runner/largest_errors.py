"""The few samples that the page shows of tasks that ask for a number: those predicted worst."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.live import Showing
from bequest.measure.rows import MAIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.core.live import Task
    from bequest.core.outcomes import Outcomes
    from bequest.measure.matrix import Matrix

MOST_ERRORS = 4  # of one task
_NEEDED = {"prediction", "target"}


def largest_errors(matrix: Matrix, tasks: Mapping[str, Task]) -> list[dict[str, Any]]:
    """For each task the worst predictions of the last row of line `main`, means over seeds."""
    found = []
    for name, task in tasks.items():
        own = [
            i for i, row in enumerate(matrix.rows) if row.line == MAIN and _by_seed(matrix, i, name)
        ]
        if own and isinstance(task, Showing):
            worst = _worst(_by_seed(matrix, own[-1], name))
            shown = task.exhibit(np.array([int(one["sample"]) for one in worst], np.int64))
            entries = [one | {"shown": it} for one, it in zip(worst, shown, strict=True)]
            found.append({"task": name, "row": own[-1], "samples": entries})
    return found


def _by_seed(matrix: Matrix, row: int, task: str) -> list[Outcomes]:
    """What each seed recorded; nothing where that is no number."""
    cells = matrix.cells
    found = [cells.outcomes[row, task, seed] for seed in cells.seeds_of(row, task)]
    return found if all(set(one.columns) >= _NEEDED for one in found) else []


def _worst(outcomes: Sequence[Outcomes]) -> list[dict[str, Any]]:
    first = np.sort(outcomes[0].sample)
    columns = [
        np.mean([one.columns[name][np.argsort(one.sample)] for one in outcomes], axis=0)
        for name in ("prediction", "target")
    ]
    prediction, target = columns
    error = np.abs(prediction - target)
    known = np.flatnonzero(np.isfinite(error))
    rows = known[np.lexsort((first[known], -error[known]))][:MOST_ERRORS].tolist()
    return [
        {"sample": str(first[row]), "target": float(target[row]),
         "prediction": float(prediction[row])}
        for row in rows
    ]  # fmt: skip
