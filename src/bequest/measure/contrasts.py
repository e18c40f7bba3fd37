"""Metrics of two rows on the same samples, and the list of all metrics."""

from __future__ import annotations

from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.lazy import numpy as np
from bequest.measure.audit_metrics import AUDIT_CONTRASTS
from bequest.measure.flips import gain_entropy
from bequest.measure.memory_metrics import MEMORY_CONTRASTS
from bequest.measure.metric import Columns, Metric, defined, mean_metric
from bequest.measure.metrics import COSTS, FOUND, SCORES
from bequest.measure.sequence_metrics import SEQUENCE_METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_YAN = "Yan et al. 2021, Positive-Congruent Training"


@mean_metric(
    unit="share",
    better="higher",
    source="",
    needs=("correct",),
    bounds=(-1.0, 1.0),
    kind="contrast",
)
def gain(before: Columns, after: Columns) -> NDArray[Any]:
    """Accuracy of the row minus accuracy of the row it is compared with.

    = 1/n · Σᵢ ([ŷᵢ = yᵢ] after − [ŷᵢ = yᵢ] before)
    """
    return _number(after["correct"]) - _number(before["correct"])


@mean_metric(unit="share", better="higher", source=_YAN, needs=("correct",), kind="contrast")
def positive_flips(before: Columns, after: Columns) -> NDArray[Any]:
    """Share of all samples that were wrong before and are right now.

    = 1/n · Σᵢ [ŷᵢ ≠ yᵢ before and ŷᵢ = yᵢ after]
    """
    return _number(after["correct"]) > _number(before["correct"])


@mean_metric(unit="share", better="lower", source=_YAN, needs=("correct",), kind="contrast")
def negative_flips(before: Columns, after: Columns) -> NDArray[Any]:
    """Share of all samples that were right before and are wrong now (negative flip rate).

    = 1/n · Σᵢ [ŷᵢ = yᵢ before and ŷᵢ ≠ yᵢ after]
    """
    return _number(after["correct"]) < _number(before["correct"])


@mean_metric(unit="share", better="higher", source="", needs=("predicted",), kind="contrast")
def agreement(before: Columns, after: Columns) -> NDArray[Any]:
    """Share of samples that both rows give the same label.

    = 1/n · Σᵢ [ŷᵢ before = ŷᵢ after]
    """
    return np.asarray(before["predicted"] == after["predicted"])


def _improvement_ratio(before: Columns, after: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Gain in accuracy over the accuracy of the row it is compared with; our reconstruction of P_r.

    = (acc after − acc before) / acc before

    Columns [n] or [n, k]; NaN where nothing was right before.
    """
    old, new = (weights @ _number(one["correct"]).astype(weights.dtype) for one in (before, after))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(old > 0, (new - old) / old, np.nan))


improvement_ratio = Metric(
    "improvement_ratio",
    "share",
    "higher",
    *defined(_improvement_ratio)[:1],
    "reconstruction: Yao et al. 2025, arXiv 2502.13573, name the ratio without its formula",
    "contrast",
    ("correct",),
    (-1.0, inf),
    _improvement_ratio,
    formula=defined(_improvement_ratio)[1],
)


def _number(correct: NDArray[Any]) -> NDArray[np.float32]:
    return correct.astype(np.float32, copy=False)


CONTRASTS = (gain, positive_flips, negative_flips, agreement)
# Contrasts computed where a rule or a person asks for them.
STUDIED = (gain_entropy, improvement_ratio, *AUDIT_CONTRASTS, *MEMORY_CONTRASTS)
METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        known.name: known
        for known in (*SCORES, *CONTRASTS, *STUDIED, *SEQUENCE_METRICS, *COSTS, *FOUND)
    }
)


def find_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        RequestError: there is none.
    """
    if name not in METRICS:
        raise RequestError(unknown_metric(name))
    return METRICS[name]


def unknown_metric(name: str) -> Problem:
    """The problem of a metric that nothing is known by."""
    return Problem(
        f"unknown metric `{name}`",
        "see `bequest list metrics`",
        meant=did_you_mean(name, METRICS),
    )
