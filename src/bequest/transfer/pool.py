"""Samples of several tasks in one stream, each known by its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bequest.build.variants import floats
from bequest.core.errors import RunError
from bequest.core.live import Split
from bequest.lazy import torch
from bequest.transfer.randomness import generator
from bequest.transfer.streams import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.core.live import Batch, Inputs


class Mixed(NamedTuple):
    """Samples of several tasks. number: that of each sample's task, int64 [batch]."""

    batch: Batch
    number: torch.Tensor


class Pool:
    """The samples of several tasks, each once an epoch, in a random order over all of them.

    parts: the samples of each task, by its number.
    """

    def __init__(self, parts: Mapping[int, Rows]) -> None:
        self._rows = joined(list(parts.values()))
        sizes = torch.tensor([len(rows) for rows in parts.values()])
        self._number = torch.tensor(list(parts)).repeat_interleave(sizes).to(self._rows.device)

    def __len__(self) -> int:
        return len(self._rows)

    def steps(self, batch_size: int) -> int:
        """Steps in one epoch; the last may be smaller."""
        return self._rows.steps(batch_size)

    def epoch(self, seed: int, batch_size: int, skip: int = 0) -> Iterator[Mixed]:
        """The samples in the random order of `seed`, each once."""
        order = torch.randperm(len(self), generator=generator(seed)).to(self._rows.device)
        for rows in torch.split(order, batch_size)[skip:]:
            yield Mixed(self._rows.batch(rows), self._number.index_select(0, rows))


def chosen(rows: Rows, places: NDArray[np.int64]) -> Rows:
    """The samples at `places`, held in memory."""
    split = rows.split
    few = Split(split.inputs[places], _targets(rows)[places], split.ids[places])
    return Rows(few, rows.device, rows.fingerprint)


def joined(parts: Sequence[Rows]) -> Rows:
    """The samples of all parts, one after another; on demand where one of them is."""
    inputs = [rows.split.inputs for rows in parts]
    in_memory = all(isinstance(each, np.ndarray) for each in inputs)
    alike = in_memory and len({each.dtype for each in inputs if isinstance(each, np.ndarray)}) == 1
    split = Split(
        np.concatenate([each[:] for each in inputs]) if alike else _Chained(tuple(inputs)),
        np.concatenate([_targets(rows) for rows in parts]),
        np.concatenate([rows.split.ids for rows in parts]),
    )
    return Rows(split, parts[0].device)


@dataclass(frozen=True)
class _Chained:
    """Inputs of several sources one after another, as a model is given them."""

    parts: tuple[Inputs, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self), *self.parts[0].shape[1:]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        ends = np.cumsum([len(part) for part in self.parts])
        owner = np.searchsorted(ends, rows, side="right")
        found = np.empty((len(rows), *self.shape[1:]), np.float32)
        for number in np.unique(owner):
            part, mine = self.parts[number], owner == number
            found[mine] = floats(part[rows[mine] - (ends[number] - len(part))])
        return found


def _targets(rows: Rows) -> NDArray[np.int64]:
    if rows.split.targets is None:
        raise RunError("samples without labels can't be learned from beside others")
    return rows.split.targets
