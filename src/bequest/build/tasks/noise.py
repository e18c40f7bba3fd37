"""One task at several levels of noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bequest.build.sequence import Changed, twice

if TYPE_CHECKING:
    from bequest.build.classification import Classification
    from bequest.build.variants import Change
    from bequest.core.errors import Problem

Level = Annotated[float, Field(ge=0, le=1000)]


class Noise(Changed):
    """The inputs of one task with normal noise added, a task for each level of noise."""

    levels: tuple[Level, ...] = Field(
        min_length=1,
        max_length=1000,
        description="Standard deviations of the noise, in units of the inputs (pixels are 0 to 1).",
    )

    def check(self) -> list[Problem]:
        """The task that gets noise, and levels that are there twice."""
        return [*super().check(), *twice("levels", self.levels)]

    def count(self) -> int:
        """One for each level."""
        return len(self.levels)

    def about(self, number: int) -> dict[str, Any]:
        """The level."""
        return {"noise": self.levels[number]}

    def change(self, task: Classification, number: int) -> Change:
        """Add noise of the level of that number; each sample has the same noise at every level."""
        from bequest.build.variants import noisy

        level = self.levels[number]
        return lambda inputs, ids: noisy(inputs, ids, level) if level else inputs
