"""Metrics of audits: how much of what was to be forgotten comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.measure.metric import Columns, mean_metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RELEARN = "Hu et al. 2024, Jogging the Memory of Unlearned LLMs, arXiv 2406.13356"


@mean_metric(unit="share", better="lower", source=_RELEARN, needs=("relearned",))
def relearned(columns: Columns) -> NDArray[Any]:
    """Best score on the rest, over the steps of learning a part again; `vs gold` is the leak.

    = max_s 1/n · Σᵢ scoreᵢ after s steps,  i: samples that are not learned again

    The score is accuracy, the ROUGE-L recall of what is written, or the probability of a token.
    """
    return columns["relearned"]


@mean_metric(unit="share", better="lower", source=_RELEARN, needs=("relearn_area",))
def relearn_area(columns: Columns) -> NDArray[Any]:
    """Mean score on the rest over the steps of learning a part again: high where it comes fast.

    = 1/n · Σᵢ 1/(S − s₀) · ∫ scoreᵢ ds,  by trapezoids between the numbers of steps s₀ … S
    """
    return columns["relearn_area"]


# The first that a task records is what it is judged by.
AUDIT_SCORES = (relearned, relearn_area)
