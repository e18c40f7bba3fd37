"""Metrics of retrieval: where what belongs to a query stands in the ranking of a gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.lazy import numpy as np
from bequest.measure.metric import Columns, Metric, mean_metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BT2 = "Zhou et al. 2023, BT²: Backward-compatible Training with Basis Transformation"
_MANNING = "Manning, Raghavan & Schütze 2008, Introduction to Information Retrieval, section 8.4"
_JARVELIN = "Järvelin & Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques"


@mean_metric(unit="share", better="higher", source=_BT2, needs=("first_rank",))
def cmc_1(columns: Columns) -> NDArray[Any]:
    """Share of queries whose best ranked item belongs to them (cumulative match, top 1).

    = 1/q · Σᵢ [rank of the first match of i ≤ 1]
    """
    return np.asarray(columns["first_rank"] <= 1)


@mean_metric(unit="share", better="higher", source=_BT2, needs=("first_rank",))
def cmc_5(columns: Columns) -> NDArray[Any]:
    """Share of queries with a match among the first 5 items (cumulative match, top 5).

    = 1/q · Σᵢ [rank of the first match of i ≤ 5]
    """
    return np.asarray(columns["first_rank"] <= 5)


@mean_metric(unit="share", better="higher", source=_BT2, needs=("first_rank",))
def cmc_10(columns: Columns) -> NDArray[Any]:
    """Share of queries with a match among the first 10 items (cumulative match, top 10).

    = 1/q · Σᵢ [rank of the first match of i ≤ 10]
    """
    return np.asarray(columns["first_rank"] <= 10)


@mean_metric(unit="share", better="higher", source=_MANNING, needs=("average_precision",))
def mean_average_precision(columns: Columns) -> NDArray[Any]:
    """Precision at the rank of every match, over the complete ranking; its mean over queries.

    = 1/q · Σᵢ 1/mᵢ · Σⱼ j / rankᵢⱼ,  rankᵢⱼ the rank of the j-th of the mᵢ matches of query i
    """
    return columns["average_precision"]


@mean_metric(unit="share", better="higher", source=_JARVELIN, needs=("gain",))
def ndcg_10(columns: Columns) -> NDArray[Any]:
    """Normalised discounted cumulative gain within the first 10 items; a match gains 1.

    = 1/q · Σᵢ Σ_{rankᵢⱼ ≤ 10} 1/log₂(1 + rankᵢⱼ) / Σ_{j ≤ min(mᵢ, 10)} 1/log₂(1 + j)
    """
    return columns["gain"]


def _recall(within: int) -> Metric:
    column = f"recall_{within}"

    def terms(columns: Columns) -> NDArray[Any]:
        return columns[column]

    terms.__name__ = column
    terms.__doc__ = f"""Share of a query's matches among its first {within} items; their mean.

    = 1/q · Σᵢ (matches of i with rank ≤ {within}) / mᵢ
    """
    make = mean_metric(unit="share", better="higher", source=_MANNING, needs=(column,))
    return make(terms)


# The first that a task records is what it is judged by.
RETRIEVAL_SCORES = (
    cmc_1,
    cmc_5,
    cmc_10,
    mean_average_precision,
    ndcg_10,
    *map(_recall, (1, 5, 10, 100)),
)
