"""Pictures in the rows of a table: a column for each pixel."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from bequest.build.classification import natural
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bequest.build.assemble import Prepared, Sides
    from bequest.build.columns import Columns, SideTable
    from bequest.build.settings import ColumnSettings

_WHITE = 255
_DIMMEST_WHITE = 64  # pictures whose brightest pixel is below have another white than 255


def pixel_names(
    names: list[str], settings: ColumnSettings, tables: Sequence[SideTable]
) -> list[str]:
    """The columns of pixels in the order of the pixels: that of `features`, else of their names.

    Raises:
        RequestError: the names say no order, and the file has them in another one.
    """
    if settings.features is not None:
        return names
    ordered = sorted(names, key=natural)
    alike = len({re.sub(r"[0-9]+", "0", name) for name in names}) == 1
    if ordered != names and not alike:
        what = f"the columns of {tables[0].place} stand in another order than their names: "
        what += f"`{names[0]}` first, where `{ordered[0]}` would be"
        fix = "name the columns of the pixels in `features`, in the order of the pixels"
        raise RequestError(Problem(what, fix, ("shape",)))
    return ordered


def pictures(columns: Columns, shape: tuple[int, int, int]) -> Callable[[Sides], Prepared]:
    """What makes the pictures [channels, height, width] of each side from the rows of columns.

    They are uint8 where all pixels are whole numbers of 0 to 255, else float32 from 0 to 1.

    Raises:
        RequestError: the columns are of another number, hold words or gaps, or other numbers.
    """
    _refuse(columns, shape)
    pixels = columns.numbers.reshape(-1, *shape)
    kept = pixels.astype(np.float32) if pixels.max() <= 1 else pixels.astype(np.uint8)

    def prepare(sides: Sides) -> Prepared:
        done = {"features": columns.names, "shape": list(shape)}
        return {side: kept[rows] for side, rows in sides.items()}, done

    return prepare


def _refuse(columns: Columns, shape: tuple[int, int, int]) -> None:
    if columns.words:
        name = columns.names[columns.numbers.shape[1]]
        what = f"column `{name}` holds words, such as `{columns.words[0][0]}`, not pixels"
        raise RequestError(Problem(what, "name the columns of pixels in `features`", ("shape",)))
    count = columns.numbers.shape[1]
    if count != prod(shape):
        what = f"there are {count} columns, but pictures of {' x '.join(map(str, shape))} have "
        fix = "give their channels, height and width, or name their columns in `features`"
        raise RequestError(Problem(f"{what}{prod(shape)} pixels", fix, ("shape",)))
    gaps = np.isnan(columns.numbers).any(axis=0)
    if gaps.any():
        what = f"column `{columns.names[int(np.argmax(gaps))]}` lacks numbers"
        raise RequestError(Problem(what, "a picture needs all of its pixels", ("shape",)))
    if not _is_light(columns.numbers):
        low, high = columns.numbers.min(), columns.numbers.max()
        what = f"the pixels have values of {low:g} to {high:g}"
        fix = "they must be whole numbers from 0 to 255, or shares of white from 0 to 1"
        raise RequestError(Problem(what, fix, ("shape",)))


def _is_light(values: NDArray[np.float64]) -> bool:
    low, high = values.min(), values.max()
    whole = bool((values == np.floor(values)).all())
    return bool(low >= 0 and (high <= 1 or (whole and _DIMMEST_WHITE <= high <= _WHITE)))
