"""Samples that are nearly the same: texts but for case and signs, numbers but for a little."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.live import Texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bequest.core.live import Split

CLOSE = 0.01  # distance to the nearest sample, of the distance between any two
_FEWEST_NUMBERS = 4  # samples of fewer are often alike by chance
_MOST_ASKED, _MOST_COMPARED, _MOST_FETCHED = 1000, 20_000, 2_000
_MOST_NUMBERS = 2**26  # 256 MiB: what the samples compared may take
_BLOCK = 256
_WORD = re.compile(r"\w+")


class Unlike(Exception):
    """Likeness says nothing of such samples; the text says why."""


def nearly_in(later: Split, rows: NDArray[np.int64], train: Split) -> tuple[NDArray[np.bool_], str]:
    """Which of `later`'s samples at `rows` have one in `train` that is nearly the same; and how.

    [rows], or of a thousand of them at even distances, compared with 20,000 samples at most, or
    2,000 that are read one by one.

    Raises:
        Unlike: they have too few numbers to be compared.
    """
    rows = _few(rows, _MOST_ASKED)
    if isinstance(later.inputs, Texts) and isinstance(train.inputs, Texts):
        known = {_plain(train.inputs, row) for row in range(len(train))} - {""}
        alike = [_plain(later.inputs, row) in known for row in rows.tolist()]
        return np.array(alike), "the same words but for case, blanks and punctuation"
    asked = _numbers(later.inputs, rows)
    if asked.shape[1] < _FEWEST_NUMBERS:
        raise Unlike(f"samples of {asked.shape[1]} numbers are alike by chance")
    most = _MOST_COMPARED if isinstance(train.inputs, np.ndarray) else _MOST_FETCHED
    most = min(most, max(1, _MOST_NUMBERS // asked.shape[1]))
    compared = _numbers(train.inputs, _few(np.arange(len(train)), most))
    return _close(asked, compared), f"nearer than {CLOSE:.0%} of the usual distance"


def _close(asked: NDArray[np.float32], compared: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each of `asked` [n, width] has one of `compared` [m, width] close to it."""
    middle = compared.mean(axis=0)
    asked, compared = asked - middle, compared - middle
    lengths = (compared**2).sum(axis=1)
    usual = 2 * float(lengths.mean())  # mean squared distance between any two
    if not usual:
        raise Unlike("all training samples are the same")
    nearest = [
        ((block**2).sum(axis=1)[:, None] - 2 * block @ compared.T + lengths).min(axis=1)
        for block in np.array_split(asked, -(-len(asked) // _BLOCK))
    ]
    return np.asarray(np.concatenate(nearest) < CLOSE**2 * usual)


def _numbers(inputs: Any, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.asarray(inputs[rows], np.float32).reshape(len(rows), -1)


def _few(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _plain(texts: Texts, row: int) -> str:
    return " ".join(_WORD.findall(texts.whole(row).casefold()))
