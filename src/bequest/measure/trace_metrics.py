"""Metrics of knowledge tracing: how well right answers are told from wrong ones beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.lazy import numpy as np
from bequest.measure.metric import Columns, mean_metric, metric
from bequest.ops.ranking import area_under_curve

if TYPE_CHECKING:
    from numpy.typing import NDArray


@metric(
    unit="share",
    better="higher",
    source="Hanley and McNeil 1982, The meaning and use of the area under a ROC curve",
    needs=("log_odds", "right"),
    bounds=(0.0, 1.0),
)
def auc(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Chance that a right answer was held likelier than a wrong one, over all students together.

    = 1/(n₁ · n₀) · Σ_{i right} Σ_{k wrong} ([oᵢ > oₖ] + ½ · [oᵢ = oₖ]),  o: log-odds of "right"

    Ties count half.
    """
    found = area_under_curve(columns["log_odds"], columns["right"], weights)
    return found.astype(weights.dtype, copy=False)


@mean_metric(
    unit="share",
    better="lower",
    source="Corbett and Anderson 1995, Knowledge tracing",
    needs=("log_odds", "known"),
)
def mastery_error(columns: Columns) -> NDArray[Any]:
    """Mean distance of the predicted from the true probability, where students were invented.

    = 1/n · Σᵢ |pᵢ − known probabilityᵢ|
    """
    predicted = 1 / (1 + np.exp(-columns["log_odds"].astype(np.float64)))
    return np.asarray(np.abs(predicted - columns["known"]))


# The first that a task records is what it is judged by.
TRACE_SCORES = (auc, mastery_error)
