"""One task in parts that have different classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from bequest.build.sequence import Sequence
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.build.classification import Classification
    from bequest.core.live import Split, SplitName


class ClassSplits(Sequence):
    """The classes of one task in groups, a task for each group, in the order of the labels.

    Every part keeps the whole label space; only the classes of its group occur in it.
    """

    groups: int = Field(2, alias="parts", ge=1, le=1000, description="How many groups of classes.")

    def count(self) -> int:
        """One for each group of classes."""
        return self.groups

    def about(self, number: int) -> dict[str, Any]:
        """Which group of how many."""
        return {"classes": [number, self.groups]}

    def vary(self, task: Classification, number: int) -> Mapping[SplitName, Split]:
        """The samples of the group's classes.

        Raises:
            RequestError: there are fewer classes than groups, or one has no sample on a side.
        """
        import numpy as np

        from bequest.build.variants import picked

        if len(task.labels) < self.groups:
            what = f"there are {len(task.labels)} classes for {self.groups} parts"
            raise RequestError(Problem(what, f"at most {len(task.labels)}", ("parts",)))
        group = np.array_split(np.arange(len(task.labels)), self.groups)[number]
        rows = {
            side: np.flatnonzero(np.isin(split.targets, group))
            for side, split in task.splits.items()
            if split.targets is not None
        }
        if empty := [side for side, found in rows.items() if not len(found)]:
            names = ", ".join(task.labels[index] for index in group)
            what = f"no sample of {names} is in {' and '.join(empty)}"
            raise RequestError(Problem(what, "make fewer parts", ("parts",)))
        return {side: picked(task.splits[side], found) for side, found in rows.items()}
