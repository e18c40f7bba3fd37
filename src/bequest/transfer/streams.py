"""Where batches come from: a task's rows, several streams side by side, episodes, live data.

The order of the samples is a function of a seed and the number of the epoch, so that an
interrupted epoch can be taken up in its middle.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from bequest.build.batches import by_length
from bequest.build.classification import as_floats
from bequest.build.trace_histories import Histories
from bequest.core.live import Batch, Texts
from bequest.lazy import torch
from bequest.store.journal import derive
from bequest.transfer.randomness import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bequest.core.live import Split


_ASK_BATCH = 512
_POOL = 16  # batches that are sorted by length together


class Stream(Protocol):
    """Endless batches in epochs."""

    def steps(self, batch_size: int) -> int:
        """Steps in one epoch."""
        ...

    def epoch(self, seed: int, batch_size: int, skip: int = 0) -> Iterator[Any]:
        """The batches of the epoch that `seed` stands for, from the one numbered `skip` on."""
        ...


class Rows:
    """The samples of one split as batches on a device.

    Data in memory is moved to the device once and cut by index; anything else is fetched by rows.
    uint8 inputs become float32 in [0, 1] when a batch is made. Texts and histories stay what they
    are, and those of a batch are of like length, so that little is padded.

    fingerprint: names the data and how they were prepared.
    singles: whether the last batch of an epoch may hold a single sample, of which batch norm has no
        statistics; otherwise the batch before takes it in.
    """

    def __init__(
        self,
        split: Split,
        device: torch.device | str = "cpu",
        fingerprint: str = "",
        *,
        singles: bool = True,
    ) -> None:
        self.split = split
        self.fingerprint = fingerprint
        self.singles = singles
        self.device = torch.device(device)
        self.ids = torch.from_numpy(split.ids).to(self.device)
        targets = split.targets
        self.targets = None if targets is None else torch.from_numpy(targets).to(self.device)
        values = split.values
        self.values = None if values is None else torch.from_numpy(values).to(self.device)
        in_memory = isinstance(split.inputs, np.ndarray)
        self._inputs = torch.from_numpy(split.inputs).to(self.device) if in_memory else None

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, rows: torch.Tensor) -> Batch:
        """The samples at `rows`, int64 [n]."""
        # index_select takes half the time of indexing by a tensor, which allows for more.
        targets = None if self.targets is None else self.targets.index_select(0, rows)
        values = None if self.values is None else self.values.index_select(0, rows)
        return Batch(self.ids.index_select(0, rows), self._fetch(rows), targets, values)

    def all(self) -> Batch:
        """Every sample, in order."""
        return self.batch(torch.arange(len(self), device=self.device))

    def steps(self, batch_size: int) -> int:
        """Steps in one epoch; the last may be smaller."""
        return math.ceil(len(self) / batch_size) - self._takes_in_the_last(batch_size)

    def epoch(self, seed: int, batch_size: int, skip: int = 0) -> Iterator[Batch]:
        """The samples in the random order of `seed`, each once."""
        for rows in self.shuffled(seed, batch_size)[skip:]:
            yield self.batch(rows)

    def shuffled(self, seed: int, batch_size: int) -> Sequence[torch.Tensor]:
        """Every row once, in batches, in the random order of `seed`."""
        draw = generator(seed)
        order = torch.randperm(len(self), generator=draw)
        if isinstance(self.split.inputs, Texts | Histories):
            order = of_like_length(order, _sizes(self.split.inputs), batch_size, draw)
        batches = torch.split(order.to(self.device), batch_size)
        if self._takes_in_the_last(batch_size):
            return [*batches[:-2], torch.cat(batches[-2:])]
        return batches

    def _takes_in_the_last(self, batch_size: int) -> bool:
        """Whether a single sample is left over that joins the batch before."""
        return not self.singles and len(self) > batch_size > 1 == len(self) % batch_size

    def askable(self) -> list[torch.Tensor]:
        """Every row once, in parts that a model can be asked about at once; texts by length."""
        if isinstance(self.split.inputs, Texts):
            parts = by_length(self.split.inputs)
            return [torch.from_numpy(rows).to(self.device) for rows in parts]
        return list(torch.split(torch.arange(len(self), device=self.device), _ASK_BATCH))

    def _fetch(self, rows: torch.Tensor) -> Any:
        if isinstance(self.split.inputs, Texts | Histories):
            return self.split.inputs[rows.tolist()]
        if self._inputs is None:
            inputs = torch.from_numpy(self.split.inputs[rows.cpu().numpy()]).to(self.device)
        else:
            inputs = self._inputs.index_select(0, rows)
        return as_floats(inputs)


def of_like_length(
    order: torch.Tensor, sizes: torch.Tensor, batch_size: int, draw: torch.Generator
) -> torch.Tensor:
    """`order` changed so that batches cut from it hold rows of like size, themselves in any order.

    order: the rows, shuffled, int64 [n]; they are sorted within pools of a few batches, so that
    which rows meet in a batch still differs between epochs. sizes: of every row, [n].
    """
    pools = torch.split(order, _POOL * batch_size)
    alike = torch.cat([pool[torch.argsort(sizes[pool], stable=True)] for pool in pools])
    whole = len(order) // batch_size
    full, rest = alike[: whole * batch_size], alike[whole * batch_size :]
    mixed = torch.randperm(whole, generator=draw)
    return torch.cat([full.view(whole, batch_size)[mixed].flatten(), rest])


def _sizes(inputs: Texts | Histories) -> torch.Tensor:
    if isinstance(inputs, Histories):
        return torch.from_numpy(inputs.lengths)
    return torch.tensor([len(inputs.whole(row)) for row in range(len(inputs))])


class _Paired:
    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self._streams = streams

    def steps(self, batch_size: int) -> int:
        steps = [stream.steps(batch_size) for stream in self._streams.values()]
        return steps[0] if all(steps) else 0  # an empty side could never start again

    def epoch(self, seed: int, batch_size: int, skip: int = 0) -> Iterator[dict[str, Any]]:
        sides = {
            name: _around(stream, derive(seed, name), batch_size, skip)
            for name, stream in self._streams.items()
        }
        for _ in range(skip, self.steps(batch_size)):
            yield {name: next(side) for name, side in sides.items()}


def pair(**streams: Stream) -> Stream:
    """Several streams side by side: each step gives a batch of each, by name.

    The first named sets the length of an epoch; shorter ones start again in a new order.
    """
    return _Paired(streams)


def _around(stream: Stream, seed: int, batch_size: int, skip: int) -> Iterator[Any]:
    rounds, skip = divmod(skip, stream.steps(batch_size))
    for number in itertools.count(rounds):
        yield from stream.epoch(derive(seed, number), batch_size, skip)
        skip = 0


class Episode(NamedTuple):
    """Samples of one domain: `support` to adapt on, `query` to answer."""

    domain: int
    support: Batch
    query: Batch


class _Episodes:
    def __init__(self, domains: Sequence[Rows], support: int, query: int) -> None:
        self._domains = domains
        self._support, self._query = support, query

    def steps(self, batch_size: int) -> int:
        del batch_size  # an episode has its own size
        return max(1, sum(map(len, self._domains)) // (self._support + self._query))

    def epoch(self, seed: int, batch_size: int, skip: int = 0) -> Iterator[Episode]:
        for step in range(skip, self.steps(batch_size)):
            draw = generator(derive(seed, step))
            number = int(torch.randint(len(self._domains), (), generator=draw))
            domain = self._domains[number]
            rows = torch.randperm(len(domain), generator=draw).to(domain.device)
            wanted = rows[: self._support + self._query]
            yield Episode(
                number, domain.batch(wanted[: self._support]), domain.batch(wanted[self._support :])
            )


def episodes(domains: Sequence[Rows], *, support: int, query: int) -> Stream:
    """One random domain a step, with `support` and `query` samples of it that don't overlap.

    Raises:
        ValueError: a domain has no sample left for the query side.
    """
    if small := [number for number, domain in enumerate(domains) if len(domain) <= support]:
        raise ValueError(f"domains {small} have at most {support} samples: none is left to query")
    return _Episodes(domains, support, query)


class Live:
    """Data made while training, by `make(step, modules, rng)`; the fit's `steps` sets its length.

    step counts from 0 over the whole fit; rng is a generator of this step alone.
    """

    def __init__(
        self, make: Callable[[int, Any, torch.Generator], Any], modules: Any, steps: int
    ) -> None:
        self._make, self._modules, self._steps = make, modules, steps

    def steps(self, batch_size: int) -> int:
        """All steps of the fit: live data has one epoch."""
        del batch_size
        return self._steps

    def epoch(self, seed: int, batch_size: int, skip: int = 0) -> Iterator[Any]:
        """One made batch a step."""
        for step in range(skip, self.steps(batch_size)):
            yield self._make(step, self._modules, generator(derive(seed, step)))
