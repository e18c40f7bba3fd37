"""Matrices in few bits, rounded so that what they do to their inputs changes least.

Frantar et al. 2022, GPTQ, arXiv 2210.17323, with the grid of its released code: asymmetric, from
the smallest to the largest value of each row and group of columns. In NumPy, float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import linalg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_BLOCK = 128  # columns whose errors reach later columns together


@dataclass(frozen=True)
class Rounding:
    """How matrices are rounded.

    groupsize: columns that share a grid, in the order in which they are visited; -1 for all.
    act_order: whether columns with the largest inputs come first.
    percdamp: added to the inputs' second moments, as a share of their mean.
    half_scales: whether steps of the grid are float16 numbers.
    """

    groupsize: int = 128
    act_order: bool = True
    percdamp: float = 0.01
    half_scales: bool = False


class Quantised(NamedTuple):
    """A matrix as codes on a grid: scale · (code − zero).

    codes: uint8 [rows, columns]; scales: float64 and zeros: uint8, [rows, groups]; order: the
    columns as they were visited, so that of each `groupsize` share a grid; loss: ½ Σ e² of each
    row, e being an error over its column's diagonal of the Cholesky factor; groupsize: as above.
    """

    codes: NDArray[np.uint8]
    scales: Array
    zeros: NDArray[np.uint8]
    order: NDArray[np.int64]
    loss: Array
    groupsize: int

    def rows(self, begin: int, end: int) -> Quantised:
        """Some rows by themselves; rows are rounded independently of each other."""
        codes, scales, zeros = (each[begin:end] for each in (self.codes, self.scales, self.zeros))
        return self._replace(codes=codes, scales=scales, zeros=zeros, loss=self.loss[begin:end])

    def values(self) -> Array:
        """The matrix [rows, columns]."""
        group = group_of(self.order, self.groupsize)
        return self.scales[:, group] * (self.codes - self.zeros[:, group].astype(np.float64))


class SecondMoments:
    """2 / n Σ x xᵀ over the inputs of a layer, n counting sequences; grows by batches."""

    def __init__(self, width: int) -> None:
        self._sum, self._sequences = np.zeros((width, width)), 0

    def add(self, products: Array, sequences: int) -> None:
        """Take in Σ x xᵀ, [width, width], over the tokens of so many sequences."""
        self._sum += products
        self._sequences += sequences

    @property
    def mean(self) -> Array:
        """[width, width]; zero before anything was added."""
        return 2 / max(self._sequences, 1) * self._sum


def group_of(order: NDArray[np.int64], groupsize: int) -> NDArray[np.int64]:
    """The grid of every column, given how they were visited."""
    found = np.empty(len(order), np.int64)
    found[order] = 0 if groupsize == -1 else np.arange(len(order)) // groupsize
    return found


def group_count(columns: int, groupsize: int) -> int:
    """How many grids a row has."""
    return 1 if groupsize == -1 else -(-columns // groupsize)


def gptq(matrix: Array, moments: Array, levels: Array, how: Rounding) -> Quantised:
    """Round a matrix column by column, making up for each error in the columns to come.

    matrix: [rows, columns]; moments: 2 / n Σ x xᵀ of its inputs, [columns, columns]; levels: the
        largest code of each row, 2^bits − 1, [rows].

    Raises:
        np.linalg.LinAlgError: the moments are no moments, such as NaN, or not damped.
    """
    left, moments = np.array(matrix, np.float64), np.array(moments, np.float64)
    columns, largest = left.shape[1], np.asarray(levels, np.float64)[:, None]
    whole = _grid(left, largest, how) if how.groupsize == -1 else None
    dead = np.diag(moments) == 0
    moments[dead, dead] = 1
    left[:, dead] = 0
    strongest = np.argsort(-np.diag(moments), kind="stable")
    order = strongest if how.act_order else np.arange(columns)
    left, upper = left[:, order], _upper(moments[np.ix_(order, order)], how.percdamp)
    codes, grids, loss = _rounded(left, upper, largest, how, whole)
    found = np.empty_like(codes)
    found[:, order] = codes
    scales, zeros = (np.concatenate(each, axis=1) for each in zip(*grids, strict=True))
    return Quantised(found, scales, zeros.astype(np.uint8), order, loss, how.groupsize)


def _rounded(
    left: Array, upper: Array, largest: Array, how: Rounding, whole: tuple[Array, Array] | None
) -> tuple[NDArray[np.uint8], list[tuple[Array, Array]], Array]:
    """Codes in the order of visiting, the grids, and the losses; changes `left`."""
    columns = left.shape[1]
    codes, loss = np.empty(left.shape, np.uint8), np.zeros(len(left))
    grids = [whole] if whole else []
    for start in range(0, columns, _BLOCK):
        stop = min(start + _BLOCK, columns)
        now, errors = left[:, start:stop].copy(), np.empty((len(left), stop - start))
        for place, column in enumerate(range(start, stop)):
            if not whole and column % how.groupsize == 0:
                # From the matrix as blocks before this one left it, not as this one goes on.
                grids.append(_grid(left[:, column : column + how.groupsize], largest, how))
            scale, zero = grids[-1]
            value = now[:, place : place + 1]
            code = np.clip(np.rint(value / scale) + zero, 0, largest)
            error = (value - scale * (code - zero)) / upper[column, column]
            now[:, place:] -= error * upper[column, column:stop]
            codes[:, column], errors[:, place] = code[:, 0], error[:, 0]
        left[:, stop:] -= errors @ upper[start:stop, stop:]
        loss += (errors**2).sum(axis=1) / 2
    return codes, grids, loss


def _grid(part: Array, largest: Array, how: Rounding) -> tuple[Array, Array]:
    """Scale and zero of each row: [rows, 1] each."""
    low = np.minimum(part.min(axis=1, keepdims=True), 0)
    high = np.maximum(part.max(axis=1, keepdims=True), 0)
    nothing = (low == 0) & (high == 0)
    low, high = np.where(nothing, -1, low), np.where(nothing, 1, high)
    scale = (high - low) / largest
    if how.half_scales:
        scale = np.maximum(scale.astype(np.float16), np.finfo(np.float16).tiny).astype(np.float64)
    return scale, np.clip(np.rint(-low / scale), 0, largest)


def _upper(moments: Array, percdamp: float) -> Array:
    """The upper Cholesky factor of the inverse of the damped moments."""
    damped = moments + percdamp * np.diag(moments).mean() * np.eye(len(moments))
    if not np.isfinite(damped).all():  # LAPACK would go on with them
        raise np.linalg.LinAlgError("moments of inputs that are not finite")
    # Backwards, the factor of the moments is the inverse of the one that is wanted: half the work.
    lower = np.linalg.cholesky(damped[::-1, ::-1])
    inverse, _ = linalg.lapack.dtrtri(lower, lower=1)
    upper: Array = np.ascontiguousarray(inverse[::-1, ::-1])
    return upper
