"""Answers that are not numbers: found before anything is computed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.core.errors import RunError
from bequest.lazy import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NotNumbers(RunError):
    """A model answered NaN, so what it knows of a task can't be measured."""


def refuse_nan(
    answers: NDArray[np.floating], what: str = "answers", *, finite: bool = False
) -> None:
    """Refuse answers of which any number is NaN.

    answers: [n] or [n, …], one entry per sample. what: they are called in the message.
    finite: whether infinite ones are refused as well; a log-probability may be −∞.

    Raises:
        NotNumbers: says how many of them are NaN.
    """
    wrong = ~np.isfinite(answers) if finite else np.isnan(answers)
    sick = wrong.any(axis=tuple(range(1, answers.ndim)))
    if sick.any():
        raise NotNumbers(f"{int(sick.sum())} of {len(answers)} {what} are not numbers")
