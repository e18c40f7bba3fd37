"""Merges of models on disk, tensor by tensor and block by block, without torch.

Memory beyond the blocks is fixed: for TIES the smallest magnitude kept is found by counting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.core.progress import Silent
from bequest.ops.deltas import Trim, cut, kept_entries, linear, task_arithmetic, ties
from bequest.ops.statistics import KEPT, is_mean, is_statistic, mean
from bequest.store.checkpoints import (
    checkpoint,
    copy_rest,
    extremes,
    floats,
    new_folder,
    rounded,
    streamed,
)
from bequest.transfer.lining_up_files import is_table, line_up
from bequest.transfer.weights import refuse_sick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.core.progress import Progress
    from bequest.store.checkpoints import Place

    Array = NDArray[Any]
    # From a tensor's place in the base and in the models: its new values, block by block.
    Blocks = Callable[[Place, Sequence[Place]], Iterator[Array]]

BLOCK = 1 << 18  # numbers
_SILENT = Silent()


@dataclass(frozen=True)
class Rule:
    """How a weight of the base and those of the models become one.

    blocks: gives the new values, block by block; parts: how much of each model is in the merge, and
    of the base what is left of 1.
    """

    blocks: Blocks
    parts: tuple[float, ...]


def linear_rule(weights: Sequence[float], *, normalise: bool = True) -> Rule:
    """Σ w θ / Σ w; the base is not looked at."""
    total = sum(weights) if normalise else 1.0

    def blocks_of(base: Place, models: Sequence[Place]) -> Iterator[Array]:
        for blocks in _together(models):
            yield linear(blocks, weights, normalise=normalise)

    return Rule(blocks_of, tuple(weight / total for weight in weights))


def arithmetic_rule(weights: Sequence[float], scale: float = 1.0) -> Rule:
    """θ₀ + λ Σ w (θ − θ₀)."""

    def blocks_of(base: Place, models: Sequence[Place]) -> Iterator[Array]:
        for before, *blocks in _together([base, *models]):
            yield task_arithmetic(before, [block - before for block in blocks], weights, scale)

    return Rule(blocks_of, tuple(scale * weight for weight in weights))


def ties_rule(weights: Sequence[float], density: float, scale: float = 1.0) -> Rule:
    """TIES with every tensor trimmed by itself, as mergekit does it."""
    total = sum(weights)

    def blocks_of(base: Place, models: Sequence[Place]) -> Iterator[Array]:
        if not len(base.bytes()):  # of nothing there is no smallest
            return
        trims = [Trim(cut(lambda one=one: _delta(base, one), _count(density, one)))  # type: ignore[misc]
                 for one in models]  # fmt: skip
        for before, *blocks in _together([base, *models]):
            deltas = (block - before for block in blocks)
            kept = [np.where(trim.keep(delta), delta, np.float32(0))
                    for trim, delta in zip(trims, deltas, strict=True)]  # fmt: skip
            yield before + np.float32(scale) * ties(kept, weights)

    return Rule(blocks_of, tuple(scale * weight / total for weight in weights) if total else ())


def merged(
    base: Path, models: Sequence[Path], out: Path, rule: Rule, progress: Progress = _SILENT
) -> None:
    """Write the merge of models into a new folder that is laid out like the base.

    What batch norm measured is averaged where the merge is a mean, and stays the base's elsewhere.

    Raises:
        RequestError: a model is not like the base, weights are of 8 or 64 bits or not finite, or
            `out` is there.
    """
    found = checkpoint(base)
    others, notes = line_up(found, [checkpoint(path) for path in models])
    for each in (found, *others):
        for name, place in each.tensors.items():
            if place.is_weight and not place.can_change:
                what = f"`{name}` of `{each.path}` is of type {place.entry.kind}"
                raise RequestError(Problem(what, "weights of 16 or 32 bits can be merged"))
    statistics = sum(map(is_statistic, found.tensors))
    if statistics and not is_mean(rule.parts):
        notes.append(KEPT.format(statistics))
    for note in notes:
        progress.note(note)
    with new_folder(out) as folder:
        for file, start in found.heads.items():
            with streamed(folder / file.name) as write, file.open("rb") as source:
                write(source.read(start))
                own = {name: each for name, each in found.tensors.items() if each.file == file}
                for name, place in own.items():
                    for block in _new(place, [other.tensors[name] for other in others], rule):
                        write(block)
        copy_rest(found, folder)


def _new(place: Place, models: Sequence[Place], rule: Rule) -> Iterator[Array]:
    """What is written for a tensor, block by block."""
    name, kind = place.name, place.entry.kind
    keeps = is_table(name) or (is_statistic(name) and not is_mean(rule.parts))
    if keeps or not place.can_change:
        yield place.bytes()
        return
    averaged = is_statistic(name)
    for block in _averages(place, models, rule) if averaged else rule.blocks(place, models):
        refuse_sick(name, extremes(block, kind))
        yield rounded(block, kind)


def _averages(base: Place, models: Sequence[Place], rule: Rule) -> Iterator[Array]:
    for before, *blocks in _together([base, *models]):
        yield mean(before, blocks, rule.parts)


def _together(places: Sequence[Place]) -> Iterator[list[Array]]:
    """The same block of several tensors in float32, block by block."""
    data = [place.bytes() for place in places]
    kinds = [place.entry.kind for place in places]
    sizes = [2 if kind != "F32" else 4 for kind in kinds]
    count = len(data[0]) // sizes[0]
    for begin in range(0, count, BLOCK):
        blocks = [floats(each[begin * size : (begin + BLOCK) * size], kind)
                  for each, kind, size in zip(data, kinds, sizes, strict=True)]  # fmt: skip
        for place, block in zip(places, blocks, strict=True):
            if not np.isfinite(extremes(block, "F32")).all():
                what = f"`{place.name}` in `{place.file}` has numbers that are not finite"
                raise RequestError(Problem(what, "models with such weights can't be merged"))
        yield blocks


def _delta(base: Place, model: Place) -> Iterator[Array]:
    for before, after in _together([base, model]):
        yield after - before


def _count(density: float, place: Place) -> int:
    size = int(np.prod(place.entry.shape))
    try:
        return kept_entries(density, size)
    except ValueError as error:
        raise RequestError(Problem(str(error))) from error
