"""Whether the vectors of an index are those of a model, by a few of its items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

PROBES = 16
_ALIKE, _MOST = 0.99, 0.8  # cosine of two vectors that are one, and how many of the probes must be
_NEAR = 0.01  # relative difference of lengths that are equal
_LEAST = 1e-12
_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Compared:
    """What a few stored vectors are beside a model's own.

    odd: the rows that point elsewhere. made: whether the model made the stored vectors.
    by_direction: whether they have lengths of their own, so that only directions can be compared.
    """

    odd: tuple[int, ...] = ()
    made: bool = False
    by_direction: bool = False


def compared(own: Floats, there: Floats) -> Compared:
    """own, there: the vectors of the same items, [few, width], by the model and in the index."""
    if own.shape != there.shape:
        return Compared(tuple(range(len(own))))
    lengths, others = np.linalg.norm(own, axis=1), np.linalg.norm(there, axis=1)
    cosines = (own * there).sum(axis=1) / np.maximum(lengths * others, _LEAST)
    alike = cosines > _ALIKE
    odd = tuple(np.flatnonzero(~alike).tolist())
    if alike.mean() < _MOST:
        return Compared(odd)
    ratios = others[alike] / lengths[alike]
    same = _equal(ratios) or _equal(others)  # those made one long are compared by direction anyway
    return Compared(odd, made=same or _equal(lengths), by_direction=not same)


def _equal(lengths: NDArray[np.floating]) -> bool:
    """Whether all lengths are the same: then inner products rank by direction."""
    return bool(np.ptp(lengths) <= _NEAR * np.abs(lengths).max())


def made_one_long(vectors: Floats) -> Floats:
    """The same directions; zero stays zero. Vectors that are one long already are not copied."""
    starts = range(0, len(vectors), _AT_ONCE)
    lengths = [np.linalg.norm(vectors[start : start + _AT_ONCE], axis=1) for start in starts]
    if all(np.allclose(part, 1, rtol=0, atol=1e-5) for part in lengths):
        return vectors
    found = np.empty(vectors.shape, np.float32)
    for start, part in zip(starts, lengths, strict=True):
        rows = slice(start, start + _AT_ONCE)
        found[rows] = vectors[rows] / np.maximum(part, _LEAST)[:, None]
    return found
