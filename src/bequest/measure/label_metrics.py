"""Metrics of classifiers that count every label alike, or judge the scores of two labels.

A label counts where it occurs among the right or the predicted ones, and a quotient without a
denominator is 0: both as in scikit-learn. So a label that is predicted but never right counts, and
one of the task that neither occurs in the test nor is predicted doesn't.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.lazy import numpy as np
from bequest.measure.metric import Columns, metric
from bequest.ops import ranking

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BOTH = ("label", "predicted")
_FEW = 64  # labels, up to which a product is faster than sums of what is sorted
_OF_TWO = ("label", "log_odds")


class _Counts(NamedTuple):
    """Weight of each label's right samples, of those it misses, and takes wrongly, [..., labels].

    Without a mistake the last two are 0, and what is made of them is exactly 1.
    """

    right: NDArray[np.float64]
    missed: NDArray[np.float64]
    taken: NDArray[np.float64]


@metric(
    unit="share",
    better="higher",
    source="",
    needs=_BOTH,
    bounds=(0.0, 1.0),
    rarest="label",
    alike=True,
)
def f1(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Mean over the labels of their F1, the harmonic mean of precision and recall (macro F1).

    = 1/L · Σ_l 2 · TP_l / (2 · TP_l + FP_l + FN_l)

    Labels that occur among the right or the predicted ones count, as in scikit-learn.
    """
    return _mean(_f1(_counts(columns, weights)), weights)


@metric(unit="share", better="higher", source="", needs=_BOTH, bounds=(0.0, 1.0), of_units=True)
def weighted_f1(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Mean of the labels' F1, each weighed by how many samples have it.

    = Σ_l n_l/n · 2 · TP_l / (2 · TP_l + FP_l + FN_l)
    """
    counts = _counts(columns, weights)
    true = counts.right + counts.missed
    found = (_f1(counts) * true).sum(axis=-1) / true.sum(axis=-1)
    return np.asarray(found, weights.dtype)


@metric(
    unit="share",
    better="higher",
    source="",
    needs=_BOTH,
    bounds=(0.0, 1.0),
    rarest="predicted",
    alike=True,
)
def precision(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Mean over the labels of the share of their predictions that are right (macro precision).

    = 1/L · Σ_l TP_l / (TP_l + FP_l)

    A label that is never predicted counts as 0, as in scikit-learn.
    """
    counts = _counts(columns, weights)
    return _mean(_quotient(counts.right, counts.taken), weights)


@metric(
    unit="share",
    better="higher",
    source="",
    needs=_BOTH,
    bounds=(0.0, 1.0),
    rarest="label",
    alike=True,
)
def recall(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Mean over the labels of the share of their samples that are found (macro recall).

    = 1/L · Σ_l TP_l / (TP_l + FN_l)

    A label that is predicted and no sample has counts as 0, as in scikit-learn.
    """
    counts = _counts(columns, weights)
    return _mean(_quotient(counts.right, counts.missed), weights)


@metric(
    unit="share",
    better="higher",
    source="Hanley and McNeil 1982, The meaning and use of the area under a ROC curve",
    needs=_OF_TWO,
    bounds=(0.0, 1.0),
    rarest="label",
    recorded="only tasks of two labels record them",
)
def roc_auc(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Chance that a sample of the second label has a higher score for it than one of the first.

    = 1/(n₁ · n₀) · Σ_{i: yᵢ=1} Σ_{k: yₖ=0} ([oᵢ > oₖ] + ½ · [oᵢ = oₖ]),  o: log-odds of label 1

    For tasks of two labels, which stand in natural order (0 and 1, no and yes), where the test has
    both.
    """
    found = ranking.area_under_curve(columns["log_odds"], columns["label"], weights)
    return found.astype(weights.dtype, copy=False)


@metric(
    unit="share",
    better="higher",
    source="Davis and Goadrich 2006, The relationship between precision-recall and ROC curves",
    needs=_OF_TWO,
    bounds=(0.0, 1.0),
    rarest="label",
    recorded="only tasks of two labels record them",
)
def average_precision(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Average precision: mean of the precision at each sample of the second label, best first.

    = Σ_k (R_k − R_{k−1}) · P_k,  k: different log-odds of label 1, falling

    For tasks of two labels, which stand in natural order (0 and 1, no and yes), where the test has
    both.
    """
    found = ranking.average_precision(columns["log_odds"], columns["label"], weights)
    return found.astype(weights.dtype, copy=False)


LABEL_SCORES = (f1, weighted_f1, precision, recall, roc_auc, average_precision)


def _counts(columns: Columns, weights: NDArray[Any]) -> _Counts:
    label, predicted = columns["label"], columns["predicted"]
    names, codes = np.unique(np.concatenate([label, predicted]), return_inverse=True)
    true, said, count = codes[: len(label)], codes[len(label) :], len(names)
    right = true == said
    # what a label has no part in stands behind all labels
    parts = (
        np.where(right, true, count),
        np.where(right, count, true),
        np.where(right, count, said),
    )
    return _Counts(*(_totals(weights, part, count + 1)[..., :count] for part in parts))


def _totals(weights: NDArray[Any], codes: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """Sum of the weights [..., n] of each code, [..., count]."""
    if count <= _FEW:
        member = (codes[:, None] == np.arange(count)).astype(weights.dtype)  # [n, labels]
        return np.asarray(weights @ member, np.float64)
    found = np.zeros((*weights.shape[:-1], count))
    order = np.argsort(codes, kind="stable")
    ranked = codes[order]
    starts = np.flatnonzero(np.diff(ranked, prepend=-1))
    sums = np.add.reduceat(weights[..., order], starts, axis=-1, dtype=np.float64)
    found[..., ranked[starts]] = sums
    return found


def _f1(counts: _Counts) -> NDArray[np.float64]:
    return _quotient(2 * counts.right, counts.missed + counts.taken)


def _mean(of_labels: NDArray[np.float64], weights: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(of_labels.mean(axis=-1), weights.dtype)


def _quotient(part: NDArray[np.float64], rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of itself and the rest; 0 where there is nothing."""
    whole = part + rest
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
