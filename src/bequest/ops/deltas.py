"""Weights of several models of one origin, put together tensor by tensor; in NumPy, float32.

Throughout, `base` is the origin's tensor, a delta is model − base, and models come in one order
with their weights. Linear and soup: Wortsman et al. 2022, arXiv 2203.05482. Task arithmetic:
Ilharco et al. 2022, 2212.04089. TIES: Yadav et al. 2023, 2306.01708. DARE: Yu et al. 2023,
2311.03099. SLERP: Shoemake 1985. BitDelta: Liu et al. 2024, 2402.10193. Details as mergekit has
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

Consensus = Literal["sum", "count"]

_HALF = 16  # bits of a magnitude that are counted at once
_COLLINEAR = 0.9995
_NO_LENGTH = 1e-8


def linear(models: Sequence[Array], weights: Sequence[float], *, normalise: bool = True) -> Array:
    """Σ w θ, over Σ w if normalised; equal weights are a uniform soup, and one model is itself."""
    if normalise and len(models) == 1:
        return models[0]
    total = _weighted(models, weights)
    return total / np.float32(sum(weights)) if normalise else total


def task_arithmetic(
    base: Array, deltas: Sequence[Array], weights: Sequence[float], scale: float = 1.0
) -> Array:
    """θ₀ + λ Σ w δ; a negative weight takes a skill away."""
    return base + np.float32(scale) * _weighted(deltas, weights)


def kept_entries(density: float, size: int) -> int:
    """int(ρ n): how many entries trimming to a density keeps; all of them from 1 on.

    Raises:
        ValueError: that is none.
    """
    count = size if density >= 1 else int(density * size)
    if size and not count:
        raise ValueError(f"a density of {density:g} keeps none of {size} entries")
    return count


def trimmed(delta: Array, density: float) -> Array:
    """The int(ρ n) entries of largest magnitude, the rest zero; of equal ones the first are kept.

    Raises:
        ValueError: that is none.
    """
    count = kept_entries(density, delta.size)
    keep = Trim(cut(lambda: [delta], count)).keep(delta)
    return np.where(keep, delta, np.zeros((), delta.dtype))


class Cut(NamedTuple):
    """The entries of largest magnitude: all above `least`, and of those equal to it `ties`."""

    least: float
    ties: int


def cut(parts: Callable[[], Iterable[Array]], count: int) -> Cut:
    """Which entries of a vector are the `count` of largest magnitude, exactly.

    parts: gives the vector in float32, part by part; it is gone through twice, and memory beyond
        a part is fixed. A magnitude's bits rise with it, so that counting them finds the place.
    """
    high = _from_above(_counts(_bits(part) >> _HALF for part in parts()), count)
    low_bits = (_bits(part) for part in parts())
    mask = np.uint32((1 << _HALF) - 1)
    within = _from_above(
        _counts(bits[bits >> _HALF == high.place] & mask for bits in low_bits), high.rest
    )
    bits = np.array(high.place << _HALF | within.place, np.uint32)
    return Cut(float(bits.view(np.float32)), within.rest)


class Trim:
    """Applies a cut to the parts of a vector, in their order."""

    def __init__(self, found: Cut) -> None:
        self._least, self._ties = np.float32(found.least), found.ties

    def keep(self, part: Array) -> NDArray[np.bool_]:
        """Whether each entry of the next part belongs to the largest."""
        # As the cut saw it: in float32, and flat in the order of rows, however it lies in memory.
        magnitude = np.abs(np.asarray(part, np.float32)).reshape(-1)
        kept: NDArray[np.bool_] = magnitude > self._least
        if self._ties:
            equal = np.flatnonzero(magnitude == self._least)[: self._ties]
            kept[equal] = True
            self._ties -= len(equal)
        return kept.reshape(np.shape(part))


def same_sum(changed: Array, delta: Array) -> Array:
    """`changed`, scaled so that its magnitudes sum up to those of `delta`; mergekit's rescaling."""
    left = np.abs(changed).sum()
    return changed * (np.abs(delta).sum() / left) if left else changed


def elected(weighted: Array, consensus: Consensus = "sum") -> NDArray[np.bool_]:
    """Which weighted deltas, [models, …], have the sign that wins at their place; zeros never do.

    consensus: the sign of the sum, or of the sum of signs; a draw counts as plus.
    """
    votes = weighted if consensus == "sum" else np.sign(weighted)
    sign = np.where(votes.sum(axis=0) >= 0, 1, -1)
    agree: NDArray[np.bool_] = np.sign(weighted) == sign
    return agree


def ties(
    deltas: Sequence[Array],
    weights: Sequence[float],
    *,
    normalise: bool = True,
    consensus: Consensus = "sum",
) -> Array:
    """The delta of deltas that were trimmed before: where they agree with the elected sign.

    Σ w δ over the agreeing, over the sum of their signed weights if normalised; a sum of 0 counts
    as 1.
    """
    own = [np.float32(weight) for weight in weights]
    weighted = np.stack([weight * delta for weight, delta in zip(own, deltas, strict=True)])
    agree = elected(weighted, consensus)
    total: Array = (weighted * agree).sum(axis=0)
    if not normalise:
        return total
    among = sum(weight * each for weight, each in zip(own, agree, strict=True))
    found: Array = total / np.where(among == 0, np.float32(1), among)
    return found


def dropped(delta: Array, kept: NDArray[np.bool_], density: float | None) -> Array:
    """DARE: the kept entries over their share, so that the mean over masks is the delta.

    kept: drawn with probability `density`, which None takes for mergekit's rule: the sum of
        magnitudes stays what it was.
    """
    left = np.where(kept, delta, np.zeros((), delta.dtype))
    return same_sum(left, delta) if density is None else left / np.float32(density)


def slerp(one: Array, other: Array, share: float) -> Array:
    """On the arc from `one` (share 0) to `other` (share 1); nearly collinear ones on the line."""
    flat, end = one.reshape(-1).astype(np.float64), other.reshape(-1).astype(np.float64)
    cosine = float(np.dot(_unit(flat), _unit(end)))
    first, last = 1 - share, share
    if abs(cosine) <= _COLLINEAR:
        angle = np.arccos(cosine)
        first, last = (float(np.sin(part * angle) / np.sin(angle)) for part in (first, last))
    mixed: Array = (first * flat + last * end).reshape(one.shape)
    return mixed.astype(one.dtype)


def one_bit(delta: Array) -> tuple[float, NDArray[np.bool_]]:
    """BitDelta: the scale α = mean |δ| and whether each sign is plus (0 counts as plus).

    α sign(δ) is the nearest such matrix to δ in squared error.
    """
    return float(np.abs(delta).mean(dtype=np.float64)), delta >= 0


def _weighted(tensors: Sequence[Array], weights: Sequence[float]) -> Array:
    first, *others = zip(weights, tensors, strict=True)
    total: Array = np.float32(first[0]) * first[1]
    for weight, tensor in others:
        total = total + np.float32(weight) * tensor
    return total


def _unit(vector: Array) -> Array:
    length = np.linalg.norm(vector)
    return vector / length if length > _NO_LENGTH else vector


def _bits(part: Array) -> NDArray[np.uint32]:
    """The magnitudes' bits as whole numbers, which are in the magnitudes' order."""
    flat = np.ascontiguousarray(part, np.float32).reshape(-1)
    return flat.view(np.uint32) & np.uint32(0x7FFFFFFF)


class _Place(NamedTuple):
    place: int
    rest: int


def _counts(parts: Iterable[Array]) -> NDArray[np.int64]:
    counts = np.zeros(1 << _HALF, np.int64)
    for part in parts:
        counts += np.bincount(part, minlength=1 << _HALF)
    return counts


def _from_above(counts: NDArray[np.int64], wanted: int) -> _Place:
    """The bin in which the `wanted`-th largest lies, and which of those in it that is."""
    above = np.cumsum(counts[::-1])
    place = min(int(np.searchsorted(above, max(wanted, 1))), len(counts) - 1)
    before = int(above[place - 1]) if place else 0
    return _Place(len(counts) - 1 - place, wanted - before)
