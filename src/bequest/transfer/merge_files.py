"""Merges of models on disk, tensor by tensor and block by block, without torch.

Memory beyond the blocks is fixed: for TIES the smallest magnitude kept is found by counting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.ops.deltas import Trim, cut, kept_entries, linear, task_arithmetic, ties
from bequest.store.checkpoints import checkpoint, copy_rest, floats, new_folder, rounded, streamed
from bequest.transfer.weights import refuse_unlike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.store.checkpoints import Place

    Array = NDArray[Any]
    # From a tensor's place in the base and in the models: its new values, block by block.
    Rule = Callable[[Place, Sequence[Place]], Iterator[Array]]

BLOCK = 1 << 18  # numbers


def linear_rule(weights: Sequence[float], *, normalise: bool = True) -> Rule:
    """Σ w θ / Σ w; the base is not looked at."""

    def rule(base: Place, models: Sequence[Place]) -> Iterator[Array]:
        for blocks in _together(models):
            yield linear(blocks, weights, normalise=normalise)

    return rule


def arithmetic_rule(weights: Sequence[float], scale: float = 1.0) -> Rule:
    """θ₀ + λ Σ w (θ − θ₀)."""

    def rule(base: Place, models: Sequence[Place]) -> Iterator[Array]:
        for before, *blocks in _together([base, *models]):
            yield task_arithmetic(before, [block - before for block in blocks], weights, scale)

    return rule


def ties_rule(weights: Sequence[float], density: float, scale: float = 1.0) -> Rule:
    """TIES with every tensor trimmed by itself, as mergekit does it."""

    def rule(base: Place, models: Sequence[Place]) -> Iterator[Array]:
        if not len(base.bytes()):  # of nothing there is no smallest
            return
        trims = [Trim(cut(lambda one=one: _delta(base, one), _count(density, one)))  # type: ignore[misc]
                 for one in models]  # fmt: skip
        for before, *blocks in _together([base, *models]):
            deltas = (block - before for block in blocks)
            kept = [np.where(trim.keep(delta), delta, np.float32(0))
                    for trim, delta in zip(trims, deltas, strict=True)]  # fmt: skip
            yield before + np.float32(scale) * ties(kept, weights)

    return rule


def merged(base: Path, models: Sequence[Path], out: Path, rule: Rule) -> None:
    """Write the merge of models into a new folder that is laid out like the base.

    Raises:
        RequestError: the models don't have the base's weights, some are of 8 or 64 bits, or `out`
            is there.
    """
    found, others = checkpoint(base), [checkpoint(path) for path in models]
    for other in others:
        refuse_unlike(found.shapes(), other.shapes())
    for name, place in found.tensors.items():
        if place.is_weight and not place.can_change:
            what = f"`{name}` of `{base}` is of type {place.entry.kind}"
            raise RequestError(Problem(what, "weights of 16 or 32 bits can be merged"))
    with new_folder(out) as folder:
        for file, start in found.heads.items():
            with streamed(folder / file.name) as write, file.open("rb") as source:
                write(source.read(start))
                own = {name: each for name, each in found.tensors.items() if each.file == file}
                for name, place in own.items():
                    if not place.can_change:
                        write(place.bytes())
                        continue
                    for block in rule(place, [other.tensors[name] for other in others]):
                        write(rounded(block, place.entry.kind))
        copy_rest(found, folder)


def _together(places: Sequence[Place]) -> Iterator[list[Array]]:
    """The same block of several tensors in float32, block by block."""
    data = [place.bytes() for place in places]
    kinds = [place.entry.kind for place in places]
    sizes = [2 if kind != "F32" else 4 for kind in kinds]
    count = len(data[0]) // sizes[0]
    for begin in range(0, count, BLOCK):
        yield [floats(each[begin * size : (begin + BLOCK) * size], kind)
               for each, kind, size in zip(data, kinds, sizes, strict=True)]  # fmt: skip


def _delta(base: Place, model: Place) -> Iterator[Array]:
    for before, after in _together([base, model]):
        yield after - before


def _count(density: float, place: Place) -> int:
    size = int(np.prod(place.entry.shape))
    try:
        return kept_entries(density, size)
    except ValueError as error:
        raise RequestError(Problem(str(error))) from error
