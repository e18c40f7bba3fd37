"""Metrics of what a model remembers, leaks and still can; the audit of unlearning.

Names and formulas follow OpenUnlearning (Dorna et al. 2025, arXiv 2506.12618), TOFU (Maini et al.
2024, arXiv 2401.06121) and MUSE (Shi et al. 2024, arXiv 2407.06460). What compares with a model
that never saw the forget set is a contrast, `vs gold`; without one, `privleak_proxy` stands in for
`privleak`, and says so.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from bequest.lazy import numpy as np
from bequest.measure.distances import forget_quality_of, log_forget_quality_of, truth_ratios
from bequest.measure.metric import Columns, Metric, defined, mean_metric, metric
from bequest.ops.ranking import area_under_curve

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_OPEN = "Dorna et al. 2025, OpenUnlearning, arXiv 2506.12618"
_TOFU = "Maini et al. 2024, TOFU, arXiv 2401.06121"
_MUSE = "Shi et al. 2024, MUSE, arXiv 2407.06460"
_TINY = 1e-10
_BOTH = ("reworded_loss", "wrong_loss")


@mean_metric(unit="share", better="higher", source=_OPEN, needs=("memorised",))
def exact_memorisation(columns: Columns) -> NDArray[Any]:
    """Share of an answer's tokens that are the likeliest behind the true ones before; their mean.

    = 1/n · Σᵢ 1/tokensᵢ · Σ_t [argmax p(· | xᵢ, y_<t) = y_t]
    """
    return columns["memorised"]


@mean_metric(unit="share", better="higher", source=_OPEN, needs=("extraction",))
def extraction_strength(columns: Columns) -> NDArray[Any]:
    """Share of an answer that the model goes on with by itself once the rest is shown; their mean.

    = 1/n · Σᵢ (1 − kᵢ / tokensᵢ),  kᵢ: first place from which on every token is the likeliest
    """
    return columns["extraction"]


@mean_metric(unit="share", better="higher", source=_TOFU, needs=_BOTH)
def truth_ratio(columns: Columns) -> NDArray[Any]:
    """How much likelier right answers in other words are than wrong ones; their mean.

    = 1/n · Σᵢ max(0, 1 − Rᵢ),  Rᵢ: wrong by right, per token and in geometric mean
    """
    return np.asarray(
        np.maximum(0, 1 - truth_ratios(columns["reworded_loss"], columns["wrong_loss"]))
    )


@mean_metric(unit="share", better="higher", source=_TOFU, needs=_BOTH)
def truth_ratio_balance(columns: Columns) -> NDArray[Any]:
    """How near right and wrong answers are to being equally likely, as for one who never knew.

    = 1/n · Σᵢ min(Rᵢ, 1 / Rᵢ),  Rᵢ: wrong by right, per token and in geometric mean
    """
    ratio = truth_ratios(columns["reworded_loss"], columns["wrong_loss"])
    return np.asarray(np.minimum(ratio, 1 / (ratio + _TINY)))


@mean_metric(unit="share", better="higher", source=_OPEN, needs=_BOTH)
def truth_share(columns: Columns) -> NDArray[Any]:
    """Probability of the right answer in other words beside a wrong one; their mean.

    = 1/n · Σᵢ p(rightᵢ) / (p(rightᵢ) + p(wrongᵢ))
    """
    right, wrong = np.exp(-columns["reworded_loss"]), np.exp(-columns["wrong_loss"])
    return np.asarray(right / (right + wrong + _TINY))


@mean_metric(
    unit="share", better="higher", source=_TOFU, needs=("probability", "wrong_probability")
)
def normalised_probability(columns: Columns) -> NDArray[Any]:
    """Probability of the right answer beside all wrong ones that are known; their mean.

    = 1/n · Σᵢ p(yᵢ) / (p(yᵢ) + Σ p(wrong))
    """
    right = columns["probability"]
    return np.asarray(right / (right + columns["wrong_probability"] + _TINY))


@metric(
    unit="share",
    better="higher",
    source=_TOFU,
    needs=("probability", "rouge_l_recall", *_BOTH),
    bounds=(0.0, 1.0),
)
def model_utility(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Harmonic mean of answer_probability, rouge_l and truth_ratio; 0 where one of them is.

    = 3 / (1/answer_probability + 1/rouge_l + 1/truth_ratio)

    TOFU's number over three sets of questions is the harmonic mean of theirs.
    """
    parts = [columns["probability"], columns["rouge_l_recall"], truth_ratio.per_sample(columns)]  # type: ignore[misc]
    return harmonic_mean(np.stack([weights @ part for part in parts], axis=-1))


def _membership(name: str, column: str, said: str) -> Metric:
    def of(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
        return area(columns[column], columns["member"], weights)

    of.__name__ = name
    of.__doc__ = f"""Probability that a member's {said} is lower than a stranger's: area under ROC.

    = P(s(member) < s(stranger)) + ½ · P(equal);  ½: can't be told, below: forgotten too well
    """
    needs = (column, "member")
    return metric(unit="share", better="lower", source=_OPEN, needs=needs, bounds=(0.0, 1.0))(of)


membership_auc = _membership("membership_auc", "min_k", "Min-40%")
membership_auc_plus = _membership("membership_auc_plus", "min_k_plus", "Min-40%++")
membership_auc_loss = _membership("membership_auc_loss", "loss", "loss")
membership_auc_zlib = _membership("membership_auc_zlib", "zlib", "loss by compressed bytes")


@metric(
    unit="percent",
    better="higher",
    source=_MUSE,
    needs=("min_k", "member"),
    bounds=(-100.0, 100.0),
)
def privleak_proxy(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """PrivLeak against a guess, ½, of what a model that never knew would score; a proxy.

    = 100 · ((1 − AUC) − ½) / ½,  AUC: membership_auc; below 0: remembers, above: forgot too well
    """
    return privleak_of(area(columns["min_k"], columns["member"], weights), 0.5)


def _privleak(before: Columns, after: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """How the membership area differs from that of a model that never knew (compare with gold).

    = 100 · (AUC_gold − AUC) / (1 − AUC_gold);  below 0: remembers, 0: as gold, above: too well
    """
    return privleak_of(membership_auc.compute(after, weights),
                       membership_auc.compute(before, weights))  # fmt: skip


def _membership_reference(before: Columns, after: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """membership_auc_loss with each loss less that of the model it is compared with.

    = P(s(member) < s(stranger)),  s: loss − loss of the reference
    """
    apart = {"loss": after["loss"] - before["loss"], "member": after["member"]}
    return membership_auc_loss.compute(apart, weights)


def _contrast(
    name: str, about: Any, unit: str, source: str, needs: tuple[str, ...],
    bounds: tuple[float, float], better: Any = "higher",
) -> Metric:  # fmt: skip
    text, formula = defined(about)
    return Metric(name, unit, better, text, source, "contrast", needs, bounds, about,
                  formula=formula)  # fmt: skip


def harmonic_mean(values: ArrayLike) -> NDArray[Any]:
    """Over the last axis; 0 where a value is 0."""
    found = np.asarray(values)
    with np.errstate(divide="ignore"):
        return np.asarray(found.shape[-1] / (1 / found).sum(axis=-1))


def area(scores: NDArray[Any], member: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Probability that a stranger scores higher than a member, ties counting half.

    scores, member (0 or 1): [n] or [n, k]; weights: [n] or [R, n]. A score that is NaN, as that of
    an empty answer, counts for nothing.
    """
    scores, member = np.asarray(scores), np.asarray(member)
    if scores.ndim > 1:
        each = zip(scores.T, member.T, strict=True)
        return np.stack([area(one, inside, weights) for one, inside in each], axis=-1)
    scored = ~np.isnan(scores)
    found = area_under_curve(scores[scored], member[scored] == 0, weights[..., scored])
    return found.astype(weights.dtype, copy=False)


def privleak_of(found: ArrayLike, gold: ArrayLike) -> NDArray[Any]:
    """100 · ((1 − AUC) − (1 − AUC of gold)) / (1 − AUC of gold), in percent."""
    never = 1 - np.asarray(gold)
    return np.asarray(100 * ((1 - np.asarray(found)) - never) / (never + _TINY))


def relative_difference(found: ArrayLike, gold: ArrayLike) -> NDArray[Any]:
    """100 · (AUC − AUC of gold) / AUC of gold, in percent."""
    before = np.asarray(gold)
    return np.asarray(100 * (np.asarray(found) - before) / (before + _TINY))


MEMORY_SCORES = (
    exact_memorisation,
    extraction_strength,
    truth_ratio,
    truth_ratio_balance,
    truth_share,
    normalised_probability,
    model_utility,
    membership_auc,
    membership_auc_plus,
    membership_auc_loss,
    membership_auc_zlib,
    privleak_proxy,
)
MEMORY_CONTRASTS = (
    _contrast("forget_quality", forget_quality_of, "p", _TOFU, _BOTH, (0.0, 1.0)),
    _contrast("log_forget_quality", log_forget_quality_of, "log10 p", _TOFU, _BOTH, (-inf, 0.0)),
    _contrast("privleak", _privleak, "percent", _MUSE, ("min_k", "member"), (-inf, inf)),
    _contrast(
        "membership_auc_reference",
        _membership_reference,
        "share",
        _OPEN,
        ("loss", "member"),
        (0.0, 1.0),
        "lower",
    ),
)
