"""A row of the transfer matrix: one stage, the same over all seeds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GIVEN = "given"
MAIN = "main"


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
    """

    step: str
    name: str
    of: str
    learned: str | None = None
    line: str = MAIN
    order: int = 0
    at: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The row's address: `step.stage`."""
        return f"{self.step}.{self.name}"


def reference(rows: Sequence[Row], index: int) -> int | None:
    """The row that `rows[index]` is compared with by default, or None for an input model.

    It is the last earlier state of the same model in the same line; where there is none, the
    model as it was given.
    """
    row = rows[index]
    if row.line == GIVEN:
        return None
    same = [i for i, other in enumerate(rows) if other.of == row.of and other.order < row.order]
    for line in (row.line, GIVEN):
        earlier = [i for i in same if rows[i].line == line]
        if earlier:
            return max(earlier, key=lambda i: rows[i].order)
    return None
