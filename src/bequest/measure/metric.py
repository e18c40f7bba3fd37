"""What a metric is: a name, a definition, and one pure function of columns and weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from bequest.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns = Mapping[str, "NDArray[Any]"]
Better = Literal["higher", "lower"]
Kind = Literal["score", "contrast", "cost", "sequence"]


def _not_computed(*_: Any) -> NDArray[Any]:
    raise TypeError("a cost is recorded, not computed")


@dataclass(frozen=True)
class Metric:
    """One number about one row (`score`, `cost`), or two rows on the same samples (`contrast`).

    Metrics of a `sequence` of tasks say more: see `sequence_metrics.SequenceMetric`.

    unit: `share`, `nats`, `bytes` …; better: which direction is good.
    definition: one sentence; source: where it was defined first.
    needs: columns of the outcomes it reads.
    bounds: least and greatest value it can take.
    compute: `f(columns, weights)`, for a contrast `f(before, after, weights)`. Columns are [n], or
        [n, k] for k models at once; weights sum to one over their last axis, [n] or [R, n]. The
        result has the shape of `weights @ column`. A cost is recorded, not computed.
    per_sample: where the metric is a weighted mean: its terms, shaped like a column.
    of_units: whether it is a share of units though not a mean over samples, so that its interval
        is that of a mean.
    formula: the definition as mathematics, in plain characters, for samples of equal weight.
    rarest: where it is no mean over samples but over the values of a column, or compares them:
        that column. How little is known of its rarest value widens the interval.
    alike: whether each of these values has the same part in the metric, as in a mean over labels.
    recorded: which tasks record what it needs, where not all of a kind do.
    """

    name: str
    unit: str
    better: Better
    definition: str
    source: str
    kind: Kind = "score"
    needs: tuple[str, ...] = ()
    bounds: tuple[float, float] = (-inf, inf)
    compute: Callable[..., NDArray[Any]] = _not_computed
    per_sample: Callable[..., NDArray[Any]] | None = None
    formula: str = ""
    of_units: bool = False
    rarest: str = ""
    alike: bool = False
    recorded: str = ""

    @property
    def difference_bounds(self) -> tuple[float, float]:
        """Least and greatest difference of two of its values."""
        low, high = self.bounds
        return low - high, high - low


def mean_metric(
    *,
    unit: str,
    better: Better,
    source: str,
    needs: tuple[str, ...],
    bounds: tuple[float, float] = (0.0, 1.0),
    kind: Kind = "score",
) -> Callable[[Callable[..., NDArray[Any]]], Metric]:
    """Make a metric of a function that gives one term per sample; the metric is their mean.

    The function's name, the first line of its docstring and its formula become the metric's.
    """

    def make(terms: Callable[..., NDArray[Any]]) -> Metric:
        def compute(*parts: Any) -> NDArray[Any]:
            *columns, weights = parts
            return np.asarray(weights @ terms(*columns).astype(weights.dtype, copy=False))

        name, (about, formula) = terms.__name__, defined(terms)
        return Metric(
            name, unit, better, about, source, kind, needs, bounds, compute, terms, formula
        )

    return make


def metric(
    *,
    unit: str,
    better: Better,
    source: str,
    needs: tuple[str, ...],
    bounds: tuple[float, float],
    of_units: bool = False,
    rarest: str = "",
    alike: bool = False,
    recorded: str = "",
) -> Callable[[Callable[[Columns, NDArray[Any]], NDArray[Any]]], Metric]:
    """Make a metric of any function of the columns of one model and the weights of its samples.

    The function sees columns [n] only; several models are computed one after the other.
    """

    def make(function: Callable[[Columns, NDArray[Any]], NDArray[Any]]) -> Metric:
        def compute(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
            one = _one_by_one(columns)
            if one is None:
                return function(columns, weights)
            return np.stack([function(model, weights) for model in one], axis=-1)

        name, (about, formula) = function.__name__, defined(function)
        return Metric(
            name, unit, better, about, source, "score", needs, bounds, compute,
            formula=formula, of_units=of_units, rarest=rarest, alike=alike, recorded=recorded,
        )  # fmt: skip

    return make


def _one_by_one(columns: Columns) -> list[Columns] | None:
    widths = {values.shape[1] for values in columns.values() if values.ndim > 1}
    if not widths:
        return None
    return [
        {name: values[:, i] if values.ndim > 1 else values for name, values in columns.items()}
        for i in range(max(widths))
    ]


def defined(function: Callable[..., Any]) -> tuple[str, str]:
    """Definition and formula in its docstring: the first line, and the line that begins with =."""
    text = (function.__doc__ or "").strip()
    formula = re.search(r"^ *= (.*)$", text, re.MULTILINE)
    return text.partition("\n")[0], formula[1] if formula else ""
