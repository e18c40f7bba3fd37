"""Whether there are samples enough for the difference that a gate rule asks about.

A true difference is *shown* when its 95 % interval leaves zero out, and a study has power 0.8 when
that happens four times in five; for a normal estimate the least such difference is 2.8 standard
errors (Cohen 1988; Card et al. 2020, With Little Power Comes Great Responsibility).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite
from statistics import NormalDist, variance
from typing import TYPE_CHECKING

from bequest.measure.contrasts import METRICS
from bequest.measure.gate import estimated
from bequest.measure.intervals import LEVEL
from bequest.measure.sequence_metrics import SequenceMetric
from bequest.measure.sequences import find_sequence

if TYPE_CHECKING:
    from bequest.measure.intervals import Estimate
    from bequest.measure.matrix import Matrix
    from bequest.measure.rules import Rule

POWER = 0.8
_HALF = NormalDist().inv_cdf((1 + LEVEL) / 2)  # standard errors from a value to its interval's end
_SHOWN = _HALF + NormalDist().inv_cdf(POWER)


@dataclass(frozen=True)
class Power:
    """What the samples behind a rule can show.

    asked: the difference that the rule is about: its limit for a difference, the distance to the
        nearest bound for a share; None where the rule names none, such as `>= 0`.
    least: the smallest difference that so many units and seeds show with power 0.8.
    enough: units that would show `asked` under as many seeds; None where none would, or nothing is
        asked. decided: whether the limit lies outside the value's interval.
    """

    estimate: Estimate
    asked: float | None
    least: float
    enough: int | None
    decided: bool


def power(rule: Rule, matrix: Matrix) -> Power | None:
    """The power of a well-formed rule, from the measured spread; None where it has no interval.

    Raises:
        RequestError: as for `gate.estimated`.
    """
    found = estimated(rule, matrix)
    if not found.units or not isfinite(found.high - found.low):
        return None
    error = (found.high - found.low) / (2 * _HALF)
    asked = _asked(rule, matrix)
    return Power(
        found,
        asked,
        _SHOWN * error,
        _enough(found, error, asked) if asked else None,
        not found.low <= rule.limit <= found.high,
    )


def _asked(rule: Rule, matrix: Matrix) -> float | None:
    low, high = _bounds(rule, matrix)
    if low < 0:
        return abs(rule.limit) or None
    nearest = min(rule.limit - low, high - rule.limit) if isfinite(high) else 0.0
    return nearest if nearest > 0 else None


def _bounds(rule: Rule, matrix: Matrix) -> tuple[float, float]:
    metric = METRICS[rule.metric]
    if isinstance(metric, SequenceMetric):
        low, high = metric.bounds_for(find_sequence(matrix, rule.stage).score)
    else:
        low, high = metric.bounds
    differs = rule.against is not None and metric.kind != "contrast"
    return (low - high, high - low) if differs else (low, high)


def _enough(found: Estimate, error: float, asked: float) -> int | None:
    """Units that would do; what seeds add to the error is the same for any number of them."""
    of_seeds = variance(found.seeds) / len(found.seeds) if len(found.seeds) > 1 else 0.0
    of_units = max(error**2 - of_seeds, 0.0)
    allowed = (asked / _SHOWN) ** 2 - of_seeds
    return ceil(found.units * of_units / allowed) if allowed > 0 else None
