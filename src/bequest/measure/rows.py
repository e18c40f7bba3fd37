"""A row of the transfer matrix: one stage, the same over all seeds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GIVEN = "given"
MAIN = "main"
CHECKPOINT = "checkpoint"  # the coordinate of a moment within the learning of a task


@dataclass(frozen=True)
class Row:
    """What one row of the matrix stands for; see `core.stage.Stage` for the words.

    step: name of the step that gave the stage; `given` for input models before anything.
    name: the stage's name; for an input model, the model's name.
    of: the model this row is a state of.
    learned: the task just learned, or None.
    line: `main`, `given`, or the reference line this row belongs to.
    order: position in time; a later row has a greater one.
    at: coordinates of the stage.
    after: index of the row with the state of the model before; None for an input model.
    """

    step: str
    name: str
    of: str
    learned: str | None = None
    line: str = MAIN
    order: int = 0
    at: Mapping[str, float | str] = field(default_factory=dict)
    after: int | None = None

    @property
    def title(self) -> str:
        """The row's address: `step.stage`."""
        return f"{self.step}.{self.name}"

    @property
    def checkpoint(self) -> float | None:
        """How far the learning of a task was, for a moment within it; None between tasks."""
        mark = self.at.get(CHECKPOINT)
        return mark if isinstance(mark, (int, float)) else None


def comparisons(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """The pairs (row, other) that answer "what changed?", in the order of the rows.

    Every row is compared with the state of its model before; a `main` row that no other goes on
    from, also with the end of every reference line of the same model. Moments within the learning
    of a task are passed over.
    """
    whole = [(i, row) for i, row in enumerate(rows) if row.checkpoint is None]
    before = {i: _before(rows, row) for i, row in whole}
    pairs = [(i, other) for i, other in before.items() if other is not None]
    left = {before[i] for i, row in whole if row.line == MAIN}
    ends = [i for i, row in whole if row.line == MAIN and i not in left]
    lines = {(row.of, row.line): i for i, row in whole if row.line not in (MAIN, GIVEN)}
    pairs += [(end, i) for end in ends for (of, _), i in lines.items() if of == rows[end].of]
    return sorted(pairs)


def _before(rows: Sequence[Row], row: Row) -> int | None:
    other = row.after
    while other is not None and rows[other].checkpoint is not None:
        other = rows[other].after
    return other
