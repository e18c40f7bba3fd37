"""A batch shared between processes: cut before the loss, its gradients joined after it.

Every process makes the same batch and takes every n-th of its samples, so that batches sorted by
length are shared evenly. The sum of what they find is what one process would have found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.core.live import Batch
from bequest.lazy import torch
from bequest.transfer.pool import Mixed
from bequest.transfer.streams import Episode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.store.processes import Processes

    Pairs = dict[str, tuple[float, torch.Tensor]]

_LEAST = 2  # samples for each process; with a single one there are no statistics over a batch


def cut(batch: Any, processes: Processes) -> tuple[Any, float]:
    """This process's samples of `batch`, and their share of it.

    A `Batch`, a `Mixed`, the query side of an `Episode` and mappings of them are cut. Anything
    else, and a batch with less than two samples for each process, is done whole by every process,
    each having an equal share.
    """
    if processes.count == 1:
        return batch, 1.0
    sides = _sides(batch)
    if not sides or min(map(len, sides)) < _LEAST * processes.count:
        return batch, 1 / processes.count
    mine = _mine(batch, processes)
    return mine, sum(map(len, _sides(mine))) / sum(map(len, sides))


def join(parameters: Sequence[torch.nn.Parameter], pairs: Pairs, processes: Processes) -> Pairs:
    """Put into every gradient its sum over all processes; gives the terms with summed values."""
    values = torch.stack([value.detach().float().reshape(()) for _, value in pairs.values()])
    seen = values.new_tensor([parameter.grad is not None for parameter in parameters])
    gradients = [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for parameter in parameters
    ]
    processes.sum([*gradients, seen, values])
    for parameter, gradient, anywhere in zip(parameters, gradients, seen.tolist(), strict=True):
        parameter.grad = gradient if anywhere else None
    weights = [weight for weight, _ in pairs.values()]
    return dict(zip(pairs, zip(weights, values.unbind(), strict=True), strict=True))


def _sides(batch: Any) -> list[torch.Tensor]:
    """The ids of each set of samples that can be cut; none if a part can't."""
    if isinstance(batch, Batch):
        return [batch.ids]
    if isinstance(batch, Mixed):
        return [batch.batch.ids]
    if isinstance(batch, Episode):
        return [batch.query.ids]
    if isinstance(batch, dict):
        found = [_sides(side) for side in batch.values()]
        return [ids for side in found for ids in side] if all(found) else []
    return []


def _mine(batch: Any, processes: Processes) -> Any:
    if isinstance(batch, dict):
        return {name: _mine(side, processes) for name, side in batch.items()}
    if isinstance(batch, Episode):  # all adapt on the whole support
        return batch._replace(query=_mine(batch.query, processes))
    ids = batch.batch.ids if isinstance(batch, Mixed) else batch.ids
    rows = torch.arange(processes.rank, len(ids), processes.count, device=ids.device)
    if isinstance(batch, Mixed):
        return Mixed(_rows_of(batch.batch, rows), batch.number[rows])
    return _rows_of(batch, rows)


def _rows_of(batch: Batch, rows: torch.Tensor) -> Batch:
    inputs, targets, values = (
        None if part is None else part[rows] for part in (batch.inputs, batch.targets, batch.values)
    )
    return Batch(batch.ids[rows], inputs, targets, values)
