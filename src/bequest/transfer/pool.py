"""Samples of several tasks in one stream, each known by its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bequest.build.variants import floats
from bequest.core.errors import RunError
from bequest.core.live import Split, Texts
from bequest.lazy import torch
from bequest.transfer.streams import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.core.live import Batch, Inputs
    from bequest.transfer.bench import TaskView


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
        for rows in self._rows.shuffled(seed, batch_size)[skip:]:
            yield Mixed(self._rows.batch(rows), self._number.index_select(0, rows))


def chosen(rows: Rows, places: NDArray[np.int64]) -> Rows:
    """The samples at `places`, held in memory."""
    split = rows.split
    targets = None if split.targets is None else split.targets[places]
    values = None if split.values is None else split.values[places]
    few = Split(split.inputs[places], targets, split.ids[places], values=values)
    return Rows(few, rows.device, rows.fingerprint, singles=rows.singles)


def together(tasks: Sequence[TaskView]) -> Rows:
    """What there is to train on in all tasks, as one set of samples."""
    if len(tasks) == 1:
        return tasks[0].train
    return joined([task.train for task in tasks])


def only(tasks: Sequence[TaskView]) -> str | None:
    """The name of the task, if it is a single one."""
    return tasks[0].name if len(tasks) == 1 else None


def joined(parts: Sequence[Rows]) -> Rows:
    """The samples of all parts, one after another; on demand where one of them is."""
    ids = np.concatenate([rows.split.ids for rows in parts])
    inputs = _inputs_joined([rows.split.inputs for rows in parts])
    unlabelled = all(rows.split.targets is None for rows in parts)
    targets = None if unlabelled else np.concatenate([_targets(rows) for rows in parts])
    numbers = [rows.split.values for rows in parts if rows.split.values is not None]
    values = np.concatenate(numbers) if len(numbers) == len(parts) else None
    prints = " ".join(rows.fingerprint for rows in parts)
    singles = all(rows.singles for rows in parts)
    split = Split(inputs, targets, ids, values=values)
    return Rows(split, parts[0].device, prints, singles=singles)


def stacked(one: Any, other: Any) -> Any:
    """The inputs of two batches, one after the other."""
    if isinstance(one, Texts):
        return _texts_joined([one, other])
    return torch.cat([one, other])


def _inputs_joined(inputs: Sequence[Inputs]) -> Inputs:
    texts = [each for each in inputs if isinstance(each, Texts)]
    if len(texts) == len(inputs):
        return _texts_joined(texts)
    arrays = [each for each in inputs if isinstance(each, np.ndarray)]
    alike = len(arrays) == len(inputs) and len({each.dtype for each in arrays}) == 1
    return np.concatenate(arrays) if alike else _Chained(tuple(inputs))


def _texts_joined(parts: Sequence[Texts]) -> Texts:
    if len({part.closed for part in parts}) > 1:
        raise RunError("texts that end and passages cut from longer ones can't be mixed")
    texts = tuple(text for part in parts for text in part.texts)
    prompts = _chained([(part.prompts, len(part)) for part in parts])
    roles = _chained([(part.roles, len(part)) for part in parts])
    return Texts(texts, prompts, parts[0].closed, roles)


def _chained(parts: Sequence[tuple[tuple[str, ...], int]]) -> tuple[str, ...]:
    """What stands beside texts, one part after another; of a part without, empty texts.

    parts: each with the number of its texts.
    """
    if not any(beside for beside, _ in parts):
        return ()
    return tuple(one for beside, count in parts for one in beside or ("",) * count)


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
