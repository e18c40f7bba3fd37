"""How well scores rank what is right above what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AT_ONCE = 2**21  # weights whose running sums are held together


def area_under_curve(
    scores: NDArray[Any], right: NDArray[Any], weights: NDArray[Any]
) -> NDArray[np.float64]:
    """The chance that a right sample has a higher score than a wrong one; a tie counts half.

    The area under the ROC curve (Hanley and McNeil 1982), with weighted samples. scores, right
    (0 or 1): [n]; weights: [n] or [R, n], not negative. The result is [] or [R], in 0 … 1, and
    NaN where all samples are right or all are wrong.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # of equal scores
    is_right = np.asarray(right)[order].astype(bool)
    rows = np.atleast_2d(weights)
    step = max(1, _AT_ONCE // len(order))
    parts = [
        _areas(rows[at : at + step][:, order], is_right, starts) for at in range(0, len(rows), step)
    ]
    return np.concatenate(parts).reshape(weights.shape[:-1])


def _areas(
    weights: NDArray[Any], right: NDArray[np.bool_], starts: NDArray[np.intp]
) -> NDArray[np.float64]:
    wrong = np.add.reduceat(np.where(right, 0.0, weights), starts, axis=1, dtype=np.float64)
    good = np.add.reduceat(np.where(right, weights, 0.0), starts, axis=1, dtype=np.float64)
    below = np.cumsum(wrong, axis=1) - wrong / 2
    pairs = good.sum(axis=1) * wrong.sum(axis=1)
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = (good * below).sum(axis=1) / pairs
    return found
