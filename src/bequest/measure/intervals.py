"""How sure a number is: a Bayesian bootstrap over units and seeds, and Holm's correction.

Rubin (1981), The Bayesian Bootstrap: each resample weights every unit by a standard exponential
draw. A weight never is zero, so ratios and smallest groups stay defined. All rows share the
weights, which makes differences between rows paired.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import erfc, fsum, isfinite, isnan, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

LEVEL = 0.95
_TAIL = (1 - LEVEL) / 2
_BLOCK_FLOATS = 2**24  # 64 MiB: what one block of weights may take
_KEPT_FLOATS = 2**26  # 256 MiB: what weights kept for other tasks may take together


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval.

    n, units: samples, and what was resampled (equal unless several samples share a unit).
    seeds: the value for each seed; `value` is their mean.
    """

    value: float
    low: float
    high: float
    n: int
    units: int
    seeds: tuple[float, ...] = ()

    def __str__(self) -> str:
        each = f" ({', '.join(map(short, self.seeds))})" if 1 < len(self.seeds) < 5 else ""
        return f"{short(self.value)} [{short(self.low)}, {short(self.high)}]{each}"


def short(value: float) -> str:
    """A number as tables show it: three decimals, or four figures where it is large; — for NaN."""
    if isnan(value):
        return "—"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


class Resampler:
    """Draws the weights; the same seed and number of units give the same ones.

    Tasks with as many units share weights. That is exact pairing where the units are the same;
    where they are not, intervals of a single task are as good, but resamples of the two tasks
    must not be taken for independent: what combines tasks reads each in its own `order`.
    """

    def __init__(self, seed: int = 0, resamples: int = 1000) -> None:
        self.seed = seed
        self.resamples = resamples
        self._kept: dict[int, NDArray[np.float32]] = {}

    def blocks(self, counts: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
        """Weights of samples, block by block of resamples: [r, n], each row sums to one.

        counts: number of samples of each unit, [units]; samples of a unit stand together.
        """
        step = max(1, _BLOCK_FLOATS // int(counts.sum()))
        for start in range(0, self.resamples, step):
            drawn = self._of_units(len(counts), start, min(step, self.resamples - start))
            if len(counts) == counts.sum():
                yield drawn
                continue
            weights = np.repeat(drawn, counts, axis=1)
            weights /= weights.sum(axis=1, keepdims=True)
            yield weights

    def of_seeds(self, count: int) -> NDArray[np.float64]:
        """Weights of seeds, [resamples, count]; independent of those of units."""
        drawn = self._generator(count, -1).standard_exponential((self.resamples, count))
        return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))

    def guard(self, units: int) -> NDArray[np.float64]:
        """The share of all weight that one unit more would get, [resamples]: Beta(1, units).

        Evenly spread over its distribution, so that its quantiles carry no noise.
        """
        even = (np.arange(self.resamples) + 0.5) / self.resamples
        shuffled = self._generator(units, -2).permutation(even)
        return np.asarray(1 - shuffled ** (1 / units))

    def order(self, unit_ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """The order in which to read the resamples of these units when tasks are combined, [R].

        Equal for equal units, so what is paired stays so; independent for any others.
        """
        digest = hashlib.sha256(np.ascontiguousarray(unit_ids, "<i8").tobytes()).digest()
        key = [self.seed, *np.frombuffer(digest, "<u4").tolist()]
        return np.random.default_rng(key).permutation(self.resamples)

    def _of_units(self, units: int, start: int, rows: int) -> NDArray[np.float32]:
        whole = rows == self.resamples
        if whole and units in self._kept:
            return self._kept[units]
        shape = (rows, units)
        drawn = self._generator(units, start).standard_exponential(shape, dtype=np.float32)
        drawn /= drawn.sum(axis=1, keepdims=True)
        if whole:
            if drawn.size + sum(kept.size for kept in self._kept.values()) > _KEPT_FLOATS:
                self._kept.clear()
            self._kept[units] = drawn
        return drawn

    def _generator(self, units: int, start: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, units, start + 2])


def spread(
    points: NDArray[np.float64], draws: NDArray[Any], resampler: Resampler
) -> NDArray[np.float64]:
    """Resampled means over seeds, [R], of per-seed values `points` [S] and `draws` [S, R]."""
    over_units = draws.mean(axis=0, dtype=np.float64)
    count = len(points)
    if count == 1:
        return np.asarray(over_units)
    # Dirichlet weights give the mean of k values a variance of (k - 1) / (k + 1) of the unbiased
    # s² / k; for two or three seeds that would understate it by a factor of three or two.
    scale = sqrt((count + 1) / (count - 1))
    deviations = points - points.mean()
    return np.asarray(over_units + scale * (resampler.of_seeds(count) @ deviations))


def interval(
    value: float,
    resampled: NDArray[np.float64],
    bounds: tuple[float, float],
    guard: NDArray[np.float64] | None = None,
) -> tuple[float, float]:
    """The percentile interval of a value, inside `bounds`; always holds the value itself.

    guard: for a bounded mean, weights of one unit more than was seen (`Resampler.guard`), [R].
    It stands at the lower bound for the low end and at the upper bound for the high end, so equal
    answers in all units don't pass for certainty. For a share of independent samples this is the
    exact interval of Clopper and Pearson (1934): no error in n gives 0.025^(1/n) as the low end.
    """
    if not isfinite(value) or not np.isfinite(resampled).all():
        return nan, nan
    least, most = bounds
    low = np.quantile(_with_one_more(resampled, least, guard), _TAIL, method="hazen")
    high = np.quantile(_with_one_more(resampled, most, guard), 1 - _TAIL, method="hazen")
    return max(min(float(low), value), least), min(max(float(high), value), most)


def _with_one_more(
    resampled: NDArray[np.float64], at: float, guard: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    return resampled if guard is None else resampled + guard * (at - resampled)


def mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """The mean, rounded once."""
    return fsum(values) / len(values)


def p_value(
    value: float,
    resampled: NDArray[np.float64],
    units: int,
    bounds: tuple[float, float],
    guard: NDArray[np.float64] | None = None,
) -> float:
    """Two-sided p-value of a difference being zero; 1 where it can't be told.

    Twice the share of resamples on the far side of zero, plus one; with `guard` as in `interval`,
    which makes it the exact test of McNemar for a difference of two shares. Where no resample is
    on the far side, they have reached their resolution and the normal tail of the same spread goes
    on, so that many comparisons can still be corrected for; never below 2^(1-units), the least
    that a sign test gives.
    """
    if not isfinite(value) or not np.isfinite(resampled).all() or value == 0:
        return 1.0
    sign, worst = (1, bounds[0]) if value > 0 else (-1, bounds[1])
    signed = sign * _with_one_more(resampled, worst, guard)
    beyond = int(np.count_nonzero(signed <= 0))
    p = min(1.0, 2 * (beyond + 1) / (len(signed) + 1))
    if beyond == 0:
        deviation = float(signed.std())
        p = min(p, erfc(float(signed.mean()) / deviation / sqrt(2)) if deviation else 0.0)
    return max(p, 2.0 ** (1 - units))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being one family; Holm (1979), A Simple Sequentially Rejective …"""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
