"""Metrics of predicted numbers: how far they lie from the right ones."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from bequest.lazy import numpy as np
from bequest.measure.metric import Columns, mean_metric, metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNIT = "unit of the target"


@metric(unit=_UNIT, better="lower", source="", needs=("error",), bounds=(0.0, inf))
def rmse(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Root of the mean squared error.

    = √(1/n · Σᵢ (ŷᵢ − yᵢ)²)
    """
    size, squares = _squares(columns["error"], weights)
    return np.asarray(size * np.sqrt(weights @ squares))


@mean_metric(unit=_UNIT, better="lower", source="", needs=("error",), bounds=(0.0, inf))
def mae(columns: Columns) -> NDArray[Any]:
    """Mean absolute error.

    = 1/n · Σᵢ |ŷᵢ − yᵢ|
    """
    return np.asarray(np.abs(columns["error"]))


@metric(
    unit="share of variance",
    better="higher",
    source="",
    needs=("error", "centred"),
    bounds=(-inf, 1.0),
)
def r2(columns: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Share of the variance of the test targets that is explained; below 0: worse than their mean.

    = 1 − Σᵢ (ŷᵢ − yᵢ)² / Σᵢ (yᵢ − ȳ)²
    """
    size, errors = _squares(columns["error"], weights)
    centred = columns["centred"].astype(weights.dtype)
    spread, squares = _squares(centred, weights)
    variance = weights @ squares - (weights @ (centred / spread)) ** 2
    return np.asarray(1 - (size / spread) ** 2 * (weights @ errors) / variance)


def _squares(values: NDArray[Any], weights: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    """The largest size of any value, and the squares of all in it, so that none is too large."""
    size = np.abs(values).max(initial=0).astype(weights.dtype) or weights.dtype.type(1)
    return size, np.square(values.astype(weights.dtype) / size)


# The first that a task records is what it is judged by.
REGRESSION_SCORES = (rmse, mae, r2)
