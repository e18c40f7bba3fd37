"""A memory of samples with a fixed budget, each sample seen as likely to be in it as any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bequest.lazy import torch
from bequest.transfer.pool import Pool, chosen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bequest.transfer.streams import Rows


class Reservoir:
    """Reservoir sampling over the samples of one task after another (Vitter 1985, algorithm R).

    budget: the most samples it holds. It keeps where samples stand, not the samples.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._seen = 0
        self._parts: list[Rows] = []
        self._held = np.empty((0, 2), np.int64)  # number of the task, place in it

    def __len__(self) -> int:
        return len(self._held)

    def see(self, rows: Rows, rng: torch.Generator) -> None:
        """Offer it every sample of the next task, once."""
        number, count = len(self._parts), len(rows)
        self._parts.append(rows)
        offered = np.stack([np.full(count, number), np.arange(count)], axis=1)
        slots = _slots(self._seen, count, self._budget, rng)
        taken = slots < self._budget
        held = np.empty((min(self._seen + count, self._budget), 2), np.int64)
        held[: len(self._held)] = self._held
        for slot, sample in zip(slots[taken].tolist(), offered[taken], strict=True):
            held[slot] = sample  # a later sample takes the place of an earlier one
        self._held, self._seen = held, self._seen + count

    def stream(self) -> Pool:
        """What it holds, as batches that say which task each sample is of."""
        of, place = self._held.T
        return Pool({n: chosen(self._parts[n], place[of == n]) for n in np.unique(of).tolist()})


def _slots(seen: int, count: int, budget: int, rng: torch.Generator) -> NDArray[np.int64]:
    """For each new sample the slot it is to take; at or above the budget, it is not kept."""
    position = np.arange(seen, seen + count)
    drawn = torch.rand(count, dtype=torch.float64, generator=rng).numpy()
    return np.where(position < budget, position, np.floor(drawn * (position + 1)).astype(np.int64))
