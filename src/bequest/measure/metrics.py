"""Metrics of one row: scores, which are computed from outcomes, and costs, which are recorded."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from bequest.lazy import numpy as np
from bequest.measure.audit_metrics import AUDIT_SCORES
from bequest.measure.label_metrics import LABEL_SCORES
from bequest.measure.memory_metrics import MEMORY_SCORES
from bequest.measure.metric import Columns, Metric, mean_metric, metric
from bequest.measure.regression_metrics import REGRESSION_SCORES
from bequest.measure.retrieval_metrics import RETRIEVAL_SCORES
from bequest.measure.text_metrics import TEXT_SCORES
from bequest.measure.trace_metrics import TRACE_SCORES

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15
_KTF = "Yao et al. 2025, Noise May Contain Transferable Knowledge, arXiv 2502.13573"


@mean_metric(unit="share", better="higher", source="", needs=("correct",))
def accuracy(columns: Columns) -> NDArray[Any]:
    """Share of samples whose most likely label is the right one.

    = 1/n · Σᵢ [ŷᵢ = yᵢ]
    """
    return columns["correct"]


@mean_metric(unit="nats", better="lower", source="", needs=("nll",), bounds=(0.0, inf))
def cross_entropy(columns: Columns) -> NDArray[Any]:
    """Mean negative log-probability of the right label.

    = −1/n · Σᵢ ln p(yᵢ | xᵢ)
    """
    return columns["nll"]


@metric(
    unit="share",
    better="lower",
    source="Guo et al. 2017, On Calibration of Modern Neural Networks",
    needs=("confidence", "correct"),
    bounds=(0.0, 1.0),
)
def calibration_error(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Expected calibration error: mean gap of confidence and accuracy over 15 bins of equal width.

    = Σ_b | 1/n · Σ_{i in b} ([ŷᵢ = yᵢ] − p(ŷᵢ | xᵢ)) |,  b = 1 … 15: (b−1)/15 < p(ŷᵢ | xᵢ) ≤ b/15

    A bin holds its upper edge, as in the paper. Resampling adds noise inside each bin, so for a
    well calibrated model the interval reaches from the value upwards.
    """
    confidence = columns["confidence"].astype(np.float64)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.zeros((len(bins), BINS), weights.dtype)
    gaps[np.arange(len(bins)), bins] = columns["correct"] - confidence
    return np.asarray(np.abs(weights @ gaps).sum(axis=-1))  # [..., BINS] -> [...]


@metric(
    unit="share",
    better="higher",
    source="Sagawa et al. 2020, Distributionally Robust Neural Networks",
    needs=("correct", "group"),
    bounds=(0.0, 1.0),
)
def worst_group_accuracy(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Lowest accuracy of any group of samples.

    = min_g 1/n_g · Σ_{i in g} [ŷᵢ = yᵢ]
    """
    names, group = np.unique(columns["group"], return_inverse=True)
    member = (group[:, None] == np.arange(len(names))).astype(weights.dtype)  # [n, groups]
    right = weights @ (member * columns["correct"].astype(weights.dtype)[:, None])
    return np.asarray((right / (weights @ member)).min(axis=-1))


def _cost(name: str, unit: str, definition: str, formula: str) -> Metric:
    bounds = (0.0, inf)
    return Metric(name, unit, "lower", definition, "", "cost", bounds=bounds, formula=formula)


def _found(name: str, unit: str, definition: str, formula: str) -> Metric:
    return Metric(name, unit, "lower", definition, _KTF, "cost", (), (0.0, inf), formula=formula)


SCORES = (
    *TRACE_SCORES,
    accuracy,
    cross_entropy,
    calibration_error,
    worst_group_accuracy,
    *LABEL_SCORES,
    *REGRESSION_SCORES,
    *TEXT_SCORES,
    *MEMORY_SCORES,
    *RETRIEVAL_SCORES,
    *AUDIT_SCORES,
)
COSTS = (
    _cost("parameters", "count", "Number of parameters of the model.", "Σ_tensors numbers"),
    _cost("bytes", "bytes", "Bytes of the model's weights.", "Σ_tensors numbers · bytes of each"),
    _cost("seconds", "s", "Time spent on the stage.", "Σ_fits seconds"),
    _cost("peak_memory", "bytes", "Most memory in use during the stage.", "max_fits bytes in use"),
)
# What a method found on its way, and says something about what it learned from.
FOUND = (
    _found(
        "source_loss",
        "nats",
        "Cross-entropy on the source at the end: low for a discriminative source.",
        "1/n · Σᵢ −ln p(yᵢ | sᵢ)",
    ),
    _found(
        "domain_discrepancy",
        "squared distance",
        "Distance of source and target in their shared space at the end: low for a transferable "
        "source, and for one without any classes.",
        "1/(C+1) · (‖s̄ − t̄‖² + Σ_c ‖s̄_c − t̄_c‖²)",
    ),
)
VARYING = frozenset({"seconds", "peak_memory"})  # differ between runs of the same recipe
