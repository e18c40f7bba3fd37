"""The few students whose mastery the page shows, as each trained network sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.tracing import Tracing
from bequest.measure.rows import GIVEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.build.trace_mastery import Portrait
    from bequest.core.live import Task
    from bequest.measure.matrix import Matrix

MOST_STAGES = 4


def mastery(matrix: Matrix, tasks: Mapping[str, Task]) -> list[dict[str, Any]]:
    """A record for each chosen student of each tracing task, as `exhibits.json` has.

    `mastery` is [stage][concept][step], in the first seed of each stage; `known` is the true
    probability of each answer, where students were invented.
    """
    return [
        {"task": name, **_facts(task, one), "stages": _stages(matrix, name, one)}
        for name, task in tasks.items()
        if isinstance(task, Tracing)
        for one in task.portraits
    ]


def _facts(task: Tracing, one: Portrait) -> dict[str, Any]:
    history = one.history
    return {
        "student": str(one.sample),
        "concepts": [task.labels[number] for number in one.concepts],
        "asked": [task.labels[number] for number in history.concept.tolist()],
        "right": history.right.tolist(),
        "known": None if one.known is None else one.known.round(3).tolist(),
    }


def _stages(matrix: Matrix, task: str, one: Portrait) -> list[dict[str, Any]]:
    """What the last trained stages of each line say; untrained models know nothing yet."""
    rows = [row for row in _ends(matrix) if str(one.sample) in _shown(matrix, row, task)]
    return [
        {"row": row, "mastery": _shown(matrix, row, task)[str(one.sample)].round(3).tolist()}
        for row in rows[-MOST_STAGES:]
    ]


def _ends(matrix: Matrix) -> Iterator[int]:
    """The last stage of every step that trains."""
    last = {row.step: number for number, row in enumerate(matrix.rows) if row.line != GIVEN}
    yield from last.values()


def _shown(matrix: Matrix, row: int, task: str) -> Mapping[str, Any]:
    seeds = matrix.cells.seeds_of(row, task)
    return matrix.cells.outcomes[row, task, seeds[0]].shown if seeds else {}
