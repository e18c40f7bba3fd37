"""Metrics of texts: how likely a model finds them, and what it writes itself."""

from __future__ import annotations

from math import inf, log
from typing import TYPE_CHECKING, Any

from bequest.lazy import numpy as np
from bequest.measure.metric import Columns, mean_metric, metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

_JELINEK = (
    "Jelinek et al. 1977, Perplexity: a measure of the difficulty of speech recognition tasks"
)
_TOFU = "Maini et al. 2024, TOFU: A Task of Fictitious Unlearning for LLMs"
_ROUGE = "Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries"


@metric(
    unit="nats", better="lower", source=_JELINEK, needs=("text_nll", "tokens"), bounds=(0.0, inf)
)
def log_perplexity(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Negative log-probability of all tokens together, divided by their number.

    = −Σᵢ ln p(textᵢ) / Σᵢ tokens(textᵢ)
    """
    return _ratio(columns["text_nll"], columns["tokens"], weights)


@metric(
    unit="perplexity",
    better="lower",
    source=_JELINEK,
    needs=("text_nll", "tokens"),
    bounds=(1.0, inf),
)
def perplexity(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Among how many equally likely tokens the model hesitates: exp(log_perplexity).

    = exp(−Σᵢ ln p(textᵢ) / Σᵢ tokens(textᵢ))
    """
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(_ratio(columns["text_nll"], columns["tokens"], weights)))


@metric(
    unit="bits",
    better="lower",
    source="Gao et al. 2020, The Pile",
    needs=("text_nll", "bytes"),
    bounds=(0.0, inf),
)
def bits_per_byte(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Bits for each byte of UTF-8 text, which models with other tokens can be compared by.

    = −Σᵢ log₂ p(textᵢ) / Σᵢ bytes(textᵢ)
    """
    return _ratio(columns["text_nll"], columns["bytes"], weights) / log(2)


@mean_metric(unit="share", better="higher", source=_TOFU, needs=("probability",))
def answer_probability(columns: Columns) -> NDArray[Any]:
    """Probability of the right answer's tokens, a geometric mean in each answer; their mean.

    = 1/n · Σᵢ p(yᵢ | xᵢ)^(1 / tokens(yᵢ))
    """
    return columns["probability"]


@mean_metric(
    unit="share",
    better="higher",
    source="Rajpurkar et al. 2016, SQuAD",
    needs=("exact",),
)
def exact_match(columns: Columns) -> NDArray[Any]:
    """Share of answers that are the right one, but for case, blanks and marks at the end.

    = 1/n · Σᵢ [ŷᵢ = yᵢ]
    """
    return columns["exact"]


@mean_metric(unit="share", better="higher", source=_ROUGE, needs=("rouge_l_recall",))
def rouge_l(columns: Columns) -> NDArray[Any]:
    """Share of the right answer's words that the model's answer has in the same order (recall).

    = 1/n · Σᵢ LCS(ŷᵢ, yᵢ) / words(yᵢ)
    """
    return columns["rouge_l_recall"]


@mean_metric(unit="share", better="higher", source=_ROUGE, needs=("rouge_l_f1",))
def rouge_l_f1(columns: Columns) -> NDArray[Any]:
    """The same as a share of the words of both answers, so that babble doesn't pay.

    = 1/n · Σᵢ 2 · LCS(ŷᵢ, yᵢ) / (words(ŷᵢ) + words(yᵢ))
    """
    return columns["rouge_l_f1"]


@mean_metric(unit="share", better="higher", source="", needs=("contains",))
def contains(columns: Columns) -> NDArray[Any]:
    """Share of completions that hold what was expected, but for case and blanks.

    = 1/n · Σᵢ [yᵢ in ŷᵢ]
    """
    return columns["contains"]


@mean_metric(
    unit="share",
    better="lower",
    source="Welleck et al. 2020, Neural Text Generation With Unlikelihood Training",
    needs=("repetition",),
)
def repetition(columns: Columns) -> NDArray[Any]:
    """Share of runs of four words that stood before in the same completion; their mean.

    = 1/n · Σᵢ (1 − different runs of four words in ŷᵢ / all of them)
    """
    return columns["repetition"]


@mean_metric(
    unit="share",
    better="higher",
    source="Voorhees 1999, The TREC-8 Question Answering Track Report",
    needs=("reciprocal_rank",),
)
def mean_reciprocal_rank(columns: Columns) -> NDArray[Any]:
    """One over the place of the right candidate, counted from 1; the mean over queries.

    = 1/n · Σᵢ 1 / rankᵢ
    """
    return columns["reciprocal_rank"]


@mean_metric(unit="texts", better="lower", source="", needs=("calls",), bounds=(0.0, inf))
def calls(columns: Columns) -> NDArray[Any]:
    """Texts that were scored to answer a query; their mean.

    = 1/n · Σᵢ callsᵢ
    """
    return columns["calls"]


def _ratio(above: NDArray[Any], below: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Of two sums with the same weights, so that a long text counts for more than a short one."""
    return np.asarray((weights @ above) / (weights @ below.astype(weights.dtype, copy=False)))


# The first that a task records is what it is judged by.
TEXT_SCORES = (
    answer_probability,
    log_perplexity,
    perplexity,
    bits_per_byte,
    exact_match,
    rouge_l,
    rouge_l_f1,
    contains,
    repetition,
    mean_reciprocal_rank,
    calls,
)
