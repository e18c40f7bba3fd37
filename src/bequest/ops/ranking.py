"""How well scores rank what is right above what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.lazy import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_AT_ONCE = 2**17  # weights whose running sums are held together


def area_under_curve(
    scores: NDArray[Any], right: NDArray[Any], weights: NDArray[Any]
) -> NDArray[np.float64]:
    """The chance that a right sample has a higher score than a wrong one; a tie counts half.

    The area under the ROC curve (Hanley and McNeil 1982), with weighted samples. scores, right
    (0 or 1): [n]; weights: [n] or [R, n], not negative. The result is [] or [R], in 0 … 1, and
    NaN where all samples are right or all are wrong.
    """
    return _by_score(_areas, scores, right, weights)


def average_precision(
    scores: NDArray[Any], right: NDArray[Any], weights: NDArray[Any]
) -> NDArray[np.float64]:
    """Mean over the right samples of the precision among all that score as high or higher.

    The area under the steps of the precision-recall curve, without interpolation, with weighted
    samples; shapes as for `area_under_curve`. NaN where no sample is right.
    """
    return _by_score(_precisions, -scores, right, weights)


class _Ties(NamedTuple):
    """Columns of samples that share their score with others, and the first and last of these."""

    columns: NDArray[np.intp]
    first: NDArray[np.intp]
    last: NDArray[np.intp]


def _by_score(
    of: Callable[[NDArray[Any], NDArray[Any], _Ties], NDArray[np.float64]],
    scores: NDArray[Any],
    right: NDArray[Any],
    weights: NDArray[Any],
) -> NDArray[np.float64]:
    """`of` the weights of right and of wrong samples, [r, n], in the order of rising scores.

    Samples whose score is not a number stand last, each for itself.
    """
    order = np.argsort(scores, kind="stable")
    ties = _ties(scores[order])
    rows = np.atleast_2d(weights)
    is_right = np.asarray(right)[order].astype(rows.dtype)
    step = max(1, _AT_ONCE // len(order))
    parts = []
    for at in range(0, len(rows), step):
        ordered = np.take(rows[at : at + step], order, axis=1)
        good = ordered * is_right
        parts.append(of(good, ordered - good, ties))
    return np.concatenate(parts).reshape(weights.shape[:-1])


def _ties(ranked: NDArray[Any]) -> _Ties:
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    sizes = np.diff(starts, append=len(ranked))
    columns = np.flatnonzero(np.repeat(sizes, sizes) > 1)
    first = np.repeat(starts, sizes)[columns]
    return _Ties(columns, first, first + np.repeat(sizes, sizes)[columns] - 1)


def _areas(good: NDArray[Any], wrong: NDArray[Any], ties: _Ties) -> NDArray[np.float64]:
    below = np.cumsum(wrong, axis=1, dtype=np.float64)
    pairs = good.sum(axis=1, dtype=np.float64) * below[:, -1]
    before = below[:, ties.first] - wrong[:, ties.first]
    below[:, ties.columns] = (before + below[:, ties.last]) / 2
    with np.errstate(invalid="ignore"):
        return np.asarray(_sums(good, below) / pairs)


def _precisions(good: NDArray[Any], wrong: NDArray[Any], ties: _Ties) -> NDArray[np.float64]:
    reached = np.cumsum(good, axis=1, dtype=np.float64)
    every = reached + np.cumsum(wrong, axis=1, dtype=np.float64)
    shares = reached / np.maximum(every, np.finfo(np.float64).tiny)  # nothing has no weight
    shares[:, ties.columns] = shares[:, ties.last]
    with np.errstate(invalid="ignore"):
        return np.asarray(_sums(good, shares) / reached[:, -1])


def _sums(weights: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the weighted values [r, n] of each row."""
    found: NDArray[np.float64] = np.einsum("rn,rn->r", weights, values)
    return found
