"""The errors of numbers that can't be had, and what a metric over a sequence of tasks needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError
from bequest.lazy import numpy as np

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import ArrayLike, NDArray

Scores: TypeAlias = "NDArray[Any]"
Needed = Callable[..., Any]  # of open grids of indices and the last index, counted from zero


class NoNumber(RequestError):
    """A cell was asked for and has no number: it is absent with a reason, or undefined."""


class MissingScore(RequestError):
    """A score that a metric needs is missing.

    array: "scores" for R, else the name of the vector or curves; place: indices counted from zero.
    """

    def __init__(self, metric: str, array: str, place: tuple[int, ...]) -> None:
        self.metric, self.array, self.place = metric, array, place
        where = ", ".join(str(index + 1) for index in place)
        called = "R" if array == "scores" else array
        super().__init__(Problem(f"{metric} needs {called}[{where}], which is missing"))


def undefined(metric: str, tasks: int) -> RequestError:
    """The error of a metric that so few tasks leave undefined."""
    return RequestError(
        Problem(f"{metric} is undefined for {tasks} task", "it takes a sequence of at least two")
    )


def matrix(metric: str, scores: ArrayLike, needed: Needed, least: int = 2) -> Scores:
    """R as an array of floats, [..., T, T], once every cell that is needed is seen to be there.

    needed: `f(row, column, last index)`, true where a cell is needed.

    Raises:
        RequestError: fewer tasks than `least`, or a needed cell is NaN.
        ValueError: R is not square.
    """
    found = floats(scores)
    if found.ndim < 2 or found.shape[-1] != found.shape[-2]:
        raise ValueError(f"{metric}: R must be [..., T, T], but is {list(found.shape)}")
    size = found.shape[-1]
    if size < least:
        raise undefined(metric, size)
    row, column = np.ogrid[:size, :size]
    check(metric, "scores", found, needed(row, column, size - 1))
    return found


def vector(
    metric: str,
    values: ArrayLike,
    name: str,
    scores: Scores,
    needed: Needed = lambda j, end: j >= 0,
) -> Scores:
    """A score for each task of R as an array of floats, [..., T]; errors as for `matrix`."""
    found, size = floats(values), scores.shape[-1]
    if found.ndim < 1 or found.shape[-1] != size:
        raise ValueError(f"{metric}: {name} must be [..., {size}], but is {list(found.shape)}")
    check(metric, name, found, needed(np.arange(size), size - 1))
    return found


def check(metric: str, name: str, values: Scores, needed: NDArray[np.bool_]) -> None:
    """See that no needed value is NaN; `needed` has the trailing shape of `values`.

    Raises:
        MissingScore: names the first that is.
    """
    leading = tuple(range(values.ndim - needed.ndim))
    missing = np.isnan(values).any(axis=leading) & needed
    if missing.any():
        raise MissingScore(metric, name, tuple(map(int, np.argwhere(missing)[0])))


def floats(values: ArrayLike) -> Scores:
    """An array of floats; float32 stays as it is."""
    found = np.asarray(values)
    return found if found.dtype.kind == "f" else found.astype(np.float64)
