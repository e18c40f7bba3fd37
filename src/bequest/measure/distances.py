"""Whether two models' answers could be those of one: Kolmogorov and Smirnov's test, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from bequest.measure.metric import Columns

_TINY = 1e-10
_LEAST = 1e-300
_CLOSE = 1e-9


def ks_p_value(one: ArrayLike, other: ArrayLike) -> float:
    """p of the two-sided test that two samples are of one distribution, exact at any size.

    one, other: values, [n] and [m], in any order.
    """
    first, second = np.sort(np.asarray(one)), np.sort(np.asarray(other))
    places = np.concatenate([first, second])
    below = [np.searchsorted(each, places, side="right") / len(each) for each in (first, second)]
    distance = float(np.abs(below[0] - below[1]).max())
    return float(exceeding(np.array([distance]), len(first), len(second))[0])


def exceeding(distances: NDArray[Any], first: int, second: int) -> NDArray[Any]:
    """Chance that two samples of one distribution lie at least so far apart, [distances].

    Every order of both samples is equally likely: a path over a grid of first × second steps. The
    chance that one ending at (i, j) came from (i − 1, j) is i / (i + j), so the chance of having
    been too far apart is carried from diagonal to diagonal. Only positive numbers are added, so
    small p are exact as well.
    """
    i = np.arange(first + 1)
    touched = np.zeros((len(distances), first + 1))  # by distance and i, on the current diagonal
    for diagonal in range(first + second + 1):
        j = diagonal - i
        there = (j >= 0) & (j <= second)
        apart = np.abs(i / first - j / second)
        from_below = np.pad(touched[:, :-1], ((0, 0), (1, 0)))  # (i − 1, j) of the one before
        if diagonal:
            touched = (i * from_below + np.where(there, j, 0) * touched) / diagonal
        far = apart[None, :] >= distances[:, None] - _CLOSE
        touched = np.where(far, 1.0, touched) * there
    return np.asarray(touched[:, first])


def forget_quality_of(before: Columns, after: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """p that truth ratios are spread as those of a model that never knew (compare with gold).

    = p of the two-sided Kolmogorov-Smirnov test of Rᵢ against Rᵢ of gold

    Small p says that they differ, not in which direction: read it beside answer_probability.
    """
    mine, gold = (truth_ratios(one["reworded_loss"], one["wrong_loss"]) for one in (after, before))
    if mine.ndim == 1:
        return _p_values(mine, gold, weights)
    wide = np.broadcast_to(gold.reshape(len(mine), -1), mine.shape)
    pairs = zip(mine.T, wide.T, strict=True)
    return np.stack([_p_values(one, other, weights) for one, other in pairs], axis=-1)


def log_forget_quality_of(before: Columns, after: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """The decimal logarithm of forget_quality.

    = log₁₀ p
    """
    return np.asarray(np.log10(np.maximum(forget_quality_of(before, after, weights), _LEAST)))


def truth_ratios(right: ArrayLike, wrong: ArrayLike) -> NDArray[Any]:
    """How likely wrong answers are by how likely right ones are: exp(−wrong) / exp(−right).

    right, wrong: loss per token, of wrong answers its mean over them, in nats.
    """
    return np.asarray(np.exp(-np.asarray(wrong)) / (np.exp(-np.asarray(right)) + _TINY))


def _p_values(mine: NDArray[Any], gold: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """One for each row of weights, [n] or [R, n]; both models answered the same n questions."""
    count = len(mine)
    order = np.argsort(np.concatenate([mine, gold]), kind="stable")
    values = np.concatenate([mine, gold])[order]
    signed = np.concatenate([weights, -weights], axis=-1)[..., order].astype(np.float64)
    ends = np.append(values[1:] > values[:-1], True)  # equal values jump together
    distance = np.abs(signed.cumsum(axis=-1))[..., ends].max(axis=-1)
    steps = np.floor(distance * count + 1e-4) / count  # resampled ones lie between steps
    found, back = np.unique(steps, return_inverse=True)
    return exceeding(found, count, count)[back].reshape(np.shape(distance))
