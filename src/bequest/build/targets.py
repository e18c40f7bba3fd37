"""Columns of numbers that are to be predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from bequest.build.column_values import (
    floats,
    is_number,
    parsed,
    plain,
    texts_in,
    trimmed,
    written_in,
)
from bequest.build.columns import column_group
from bequest.build.regression import regression
from bequest.build.splitting import Pool
from bequest.build.tabular import features_of
from bequest.build.written import decimal_mark, joined
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bequest.build.columns import SideTable
    from bequest.build.regression import Regression
    from bequest.build.settings import ColumnSettings

_LARGEST = 1e30  # squares and their sums stay numbers
_FIX = "every row needs a number such as `1234.5`, or nothing"


def target_task(
    settings: ColumnSettings,
    name: str,
    tables: Sequence[SideTable],
    notes: Sequence[str] = (),
) -> Regression:
    """The task of one table per side.

    settings: its label is the column to be predicted. Rows without a target are left out, and
    counted in a note.

    Raises:
        RequestError: a column can't be used, or a side would be empty.
    """
    target = settings.label
    found, commas = numbers(tables, target)
    known = [~np.isnan(values) for values in found]
    values = np.concatenate([part[rows] for part, rows in zip(found, known, strict=True)])
    if not len(values):
        what = f"no row has a number in column `{target}`"
        raise RequestError(Problem(what, "name a column of numbers", ("target",)))
    left = sum(int((~rows).sum()) for rows in known)
    gaps = [f"{left} samples without a number in `{target}` were left out"] if left else []
    kept = [side.take(rows) for side, rows in zip(tables, known, strict=True)]
    features, group = features_of(settings, kept), column_group(kept, settings)
    pool = Pool(features.ids, np.zeros(len(values), np.int64), features.side, group)
    said = (*notes, *commas, *gaps, *features.notes)
    return regression(settings, name, target, pool, values, features.prepare, said)


def numbers(
    tables: Sequence[SideTable], target: str
) -> tuple[list[NDArray[np.float64]], list[str]]:
    """The column `target` of each table, float64 [n], NaN where missing; and a note on its commas.

    Raises:
        RequestError: a value is no number, or is too large to be squared.
    """
    parts = [trimmed(side.table[target]) for side in tables]
    mark = _mark(tables, parts, target)
    values = [parsed(part, mark) if mark else floats(part) for part in parts]
    for side, part, found in zip(tables, parts, values, strict=True):
        huge = np.flatnonzero(np.abs(found) > _LARGEST)  # infinite ones too
        if len(huge):
            row = int(huge[0])
            why = f"is beyond {_LARGEST:g}, the largest that is taken"
            raise _refused(target, part[row].as_py(), side.where(row), why)
    commas = f"`{target}` has numbers with a decimal comma: `1,4` is read as 1.4"
    return values, [commas] if mark == "," else []


def _mark(tables: Sequence[SideTable], parts: list[Any], target: str) -> str | None:
    """The decimal mark of numbers that are written as texts; None where they are stored as such."""
    written = written_in(parts)
    if written is None:
        if kinds := [kind for part in parts if not is_number(kind := plain(part).type)]:
            what = f"column `{target}` holds {kinds[0]}, not numbers"
            raise RequestError(Problem(what, "name a column of numbers", ("target",)))
        return None
    whole = joined(written)
    if odd := next(iter([*whole.words, *whole.nearly]), None):
        count = whole.words.total() + whole.nearly.total()
        more = f"; so are {count - 1} more" if count > 1 else ""
        raise _refused(target, odd, _where(tables, target, odd), f"is not a number{more}")
    doubtful = bool(whole.commas) or any(side.doubtful for side in tables)
    return decimal_mark(whole, target, tables[0].decimal, doubtful=doubtful)


def _where(tables: Sequence[SideTable], target: str, value: str) -> str:
    """The first row with that text, for people."""
    for side in tables:
        row = pc.index(texts_in(side.table[target]), value).as_py()
        if row >= 0:
            return side.where(row)
    return "the table"


def _refused(target: str, value: Any, where: str, why: str) -> RequestError:
    what = f"column `{target}`: `{str(value)[:40]}` in {where} {why}"
    return RequestError(Problem(what, _FIX, ("target",)))
