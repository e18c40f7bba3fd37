"""How sure a number is: a Bayesian bootstrap over units, Student's t over seeds, Holm's correction.

Rubin (1981), The Bayesian Bootstrap: each resample weights every unit by a standard exponential
draw. A weight never is zero, so ratios and smallest groups stay defined. All rows share the
weights, which makes differences between rows paired.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import exp, fsum, inf, isfinite, isnan, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

LEVEL = 0.95
_TAIL = (1 - LEVEL) / 2
_MANY = 1e6  # degrees of freedom beyond which Student's t is the normal distribution
_FAR = 50.0  # e to this power is as far as an end on the log scale goes
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
        """Where the mean over seeds lies, in its standard errors, [resamples]; 0 for one seed.

        Evenly spread over Student's t of `count` - 1 degrees; independent of the units.
        """
        from scipy import special

        if count == 1:
            return np.zeros(self.resamples)
        even = (np.arange(self.resamples) + 0.5) / self.resamples
        return np.asarray(special.stdtrit(count - 1, self._generator(count, -1).permutation(even)))

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


@dataclass(frozen=True)
class Scatter:
    """How a value, the mean over seeds, scatters.

    resampled: over units and seeds, [R]. error: standard error, with as many `degrees` of freedom.
    guard: for a bounded mean, the weights of one unit more than was seen (`Resampler.guard`), [R].
    """

    resampled: NDArray[np.float64]
    error: float
    degrees: float
    units: int
    guard: NDArray[np.float64] | None = None


def scatter(
    points: NDArray[np.float64],
    draws: NDArray[Any],
    units: int,
    resampler: Resampler,
    guard: NDArray[np.float64] | None = None,
) -> Scatter:
    """The scatter of the mean of per-seed values `points` [S], resampled over units `draws` [S, R].

    Units enter by their resamples, seeds by Student's t of S - 1 degrees, as few seeds tell their
    own spread badly (Gosset 1908); both together have Welch and Satterthwaite's degrees (1946).
    Without a guard the resamples of few units are widened to what Student's t of units - 1 degrees
    asks for. One seed adds no doubt: what is said then is said of these very models.
    """
    value, count = points.mean(), len(points)
    with np.errstate(invalid="ignore"):  # a value that is not finite has no interval
        of_units = draws.mean(axis=0, dtype=np.float64) - value
        if guard is None and units > 1:
            # A mean's posterior variance is s² (n - 1) / (n (n + 1)), where s² / n is unbiased.
            of_units = of_units * sqrt((units + 1) / (units - 1))
        unit_error = float(of_units.std())
        seed_error = float(points.std(ddof=1)) / sqrt(count) if count > 1 else 0.0
        wider = 1.0 if guard is not None else _t_quantile(units - 1) / _t_quantile(inf)
        resampled = value + wider * of_units + seed_error * resampler.of_seeds(count)
        degrees = _degrees((unit_error, units - 1), (seed_error, count - 1))
        error = sqrt(unit_error**2 + seed_error**2)
    return Scatter(resampled, error, degrees, units, guard)


def _degrees(*parts: tuple[float, int]) -> float:
    """Degrees of freedom of a sum, from the standard error and the degrees of each part."""
    total = sum(error**2 for error, _ in parts)
    doubt = sum(error**4 / degrees for error, degrees in parts if error > 0 and degrees > 0)
    return total**2 / doubt if doubt > 0 else inf


def _t_quantile(degrees: float, tail: float = _TAIL) -> float:
    """How many standard errors an interval reaches to each side, with `tail` left out there."""
    from scipy import special

    many = degrees > _MANY or degrees <= 0  # of one unit nothing is known anyway
    return float(-(special.ndtri(tail) if many else special.stdtrit(degrees, tail)))


def interval(
    value: float, of: Scatter, bounds: tuple[float, float], level: float = LEVEL
) -> tuple[float, float]:
    """The interval of a value at a level, inside `bounds`; always holds the value itself.

    With a guard it is the percentile interval with one unit more than was seen, which stands at the
    lower bound for the low end and at the upper bound for the high end, so equal answers in all
    units don't pass for certainty. For a share of independent samples this is the exact interval of
    Clopper and Pearson (1934): no error in n gives 0.025^(1/n) as the low end.

    Without one it reaches as far as the percentiles or Student's t do, whichever is further, and
    for what is bounded below only, as far up as t does on the log scale: means of skewed values,
    such as perplexities, have long upper tails (Zhou and Gao 1997, Confidence intervals for the
    log-normal mean).
    """
    if not isfinite(value) or not np.isfinite(of.resampled).all():
        return nan, nan
    (least, most), tail = bounds, (1 - level) / 2
    half = _t_quantile(of.degrees, tail) * of.error
    low = _end(_with_one_more(of, least), tail, half, -1)
    high = _end(_with_one_more(of, most), tail, half, 1)
    if of.guard is None:
        low, high = min(low, value - half), max(high, value + half)
        above = value - least
        if isfinite(least) and not isfinite(most) and above > 0:
            high = max(high, least + above * exp(min(half / above, _FAR)))
    return max(min(low, value), least), min(max(high, value), most)


def _end(resampled: NDArray[np.float64], tail: float, half: float, side: int) -> float:
    """The percentile with `tail` beyond it; where resamples are too few for it, by Student's t."""
    if tail * len(resampled) < 1:
        return float(np.median(resampled)) + side * half
    return float(np.quantile(resampled, tail if side < 0 else 1 - tail, method="hazen"))


def _with_one_more(of: Scatter, at: float) -> NDArray[np.float64]:
    return of.resampled if of.guard is None else of.resampled + of.guard * (at - of.resampled)


def mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    """The mean, rounded once."""
    return fsum(values) / len(values)


def p_value(value: float, of: Scatter, bounds: tuple[float, float]) -> float:
    """Two-sided p-value of a difference being zero; 1 where it can't be told.

    Twice the share of resamples on the far side of zero, plus one; with a guard as in `interval`,
    which makes it the exact test of McNemar for a difference of two shares. Where no resample is
    on the far side, they have reached their resolution and the tail of Student's t goes on, so that
    many comparisons can still be corrected for; without a guard it is never below that tail. Never
    below 2^(1-units), the least that a sign test gives.
    """
    if not isfinite(value) or not np.isfinite(of.resampled).all() or value == 0:
        return 1.0
    sign, worst = (1, bounds[0]) if value > 0 else (-1, bounds[1])
    signed = sign * _with_one_more(of, worst)
    beyond = int(np.count_nonzero(signed <= 0))
    p = min(1.0, 2 * (beyond + 1) / (len(signed) + 1))
    if of.guard is None:
        tail = _t_tail(abs(value), of.error, of.degrees)
        p = tail if beyond == 0 else max(p, tail)
    elif beyond == 0:
        p = min(p, _t_tail(float(np.median(signed)), of.error, of.degrees))
    return max(p, 2.0 ** (1 - of.units))


def _t_tail(distance: float, error: float, degrees: float) -> float:
    """Chance of lying so far from zero, to either side."""
    from scipy import special

    if error == 0:
        return 0.0
    many = degrees > _MANY
    tail = special.ndtr(-distance / error) if many else special.stdtr(degrees, -distance / error)
    return float(2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being one family; Holm (1979), A Simple Sequentially Rejective …"""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
