"""A part of one task: some of its samples, seen through some of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bequest.build.sequence import Derived, variant
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bequest.build.classification import Classification
    from bequest.build.variants import Change
    from bequest.core.live import Split

Column = Annotated[int, Field(ge=1, le=10**6)]


class Part(Derived):
    """A share of the samples of one task, whole or in some of its columns.

    Parts with different numbers share no sample, on no side. With different columns they are two
    domains that have nothing in common but the classes.
    """

    number: int = Field(1, ge=1, description="Which of the shares this is, from 1.")
    shares: int = Field(2, ge=1, le=1000, description="How many shares there are.")
    columns: tuple[Column, ...] | None = Field(
        None, min_length=1, description="Places of the features to keep, from 1; all by default."
    )

    def check(self) -> list[Problem]:
        """The other task, and a number beyond the last share."""
        problems = super().check()
        if self.number > self.shares:
            what = f"there is no share {self.number} of {self.shares}"
            problems.append(Problem(what, f"at most {self.shares}", ("number",)))
        return problems

    def load(self, name: str) -> Classification:
        """Every side with its share of the samples.

        Raises:
            RequestError: the other task can't be loaded, has no such columns, or too few samples.
        """
        from dataclasses import replace

        from bequest.build.variants import changed, picked

        task = self.original(name)
        splits = {
            side: picked(split, self._rows(split, side)) for side, split in task.splits.items()
        }
        shape = task.shape
        if self.columns is not None:
            change, shape = self._seen(task), (len(self.columns),)
            key = f"columns {self.columns}"
            splits = {side: changed(split, change, key) for side, split in splits.items()}
        about = {"part": [self.number, self.shares, self.columns]}
        return replace(variant(task, name, splits, about), shape=shape)

    def _rows(self, split: Split, side: str) -> NDArray[np.int64]:
        import numpy as np

        from bequest.build.splitting import share_of

        rows = np.flatnonzero(share_of(split.ids, self.shares) == self.number - 1)
        if not len(rows):
            what = f"{len(split)} samples of {side} can't be put into {self.shares} shares"
            raise RequestError(Problem(what, "make fewer", ("shares",)))
        return rows

    def _seen(self, task: Classification) -> Change:
        columns = self.columns or ()
        if len(task.shape) != 1 or max(columns) > task.shape[0]:
            there = f"{task.shape[0]} columns" if len(task.shape) == 1 else "no columns, but images"
            what = f"the task has {there}, and column {max(columns)} is asked for"
            raise RequestError(Problem(what, field=("columns",)))
        places = [column - 1 for column in columns]
        return lambda inputs, ids: inputs[:, places]
