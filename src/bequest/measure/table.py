"""Everything a run recorded: one `Outcomes` per row, task and seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.outcomes import Outcomes
    from bequest.measure.rows import Row


@dataclass(frozen=True)
class Cells:
    """The outcomes of a whole run.

    rows: the stages; a row's index is its position here.
    tasks, seeds: the columns of the matrix and the repetitions of the run.
    outcomes: by (row index, task, seed); never empty ones.
    absent: why a cell of (row index, task) could not be measured.
    costs: by row index, what the row cost, by name (`parameters`, `bytes`, `seconds` …).

    Raises:
        ValueError: a key names a row, task or seed that is not there, or a cell is empty.
    """

    rows: tuple[Row, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    outcomes: Mapping[tuple[int, str, int], Outcomes]
    absent: Mapping[tuple[int, str], str] = field(default_factory=dict)
    costs: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = range(len(self.rows))
        for row, task, seed in self.outcomes:
            if row not in known or task not in self.tasks or seed not in self.seeds:
                raise ValueError(f"cell ({row}, {task}, {seed}) is outside the matrix")
            if not len(self.outcomes[row, task, seed]):
                raise ValueError(f"cell ({row}, {task}, {seed}) has no samples")
        for row, task in self.absent:
            if row not in known or task not in self.tasks:
                raise ValueError(f"absent cell ({row}, {task}) is outside the matrix")
        if any(row not in known for row in self.costs):
            raise ValueError("costs of a row that is not in the matrix")

    def seeds_of(self, row: int, task: str) -> tuple[int, ...]:
        """The seeds for which this cell was measured, in the run's order."""
        return tuple(seed for seed in self.seeds if (row, task, seed) in self.outcomes)

    def why_absent(self, row: int, task: str) -> str:
        """Why this cell holds no outcomes."""
        return self.absent.get((row, task), "it was not measured")
