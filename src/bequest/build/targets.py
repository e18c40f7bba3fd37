"""Columns of numbers that are to be predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import ConvertOptions

from bequest.build.regression import regression
from bequest.build.splitting import FIELD_SIDES, Pool
from bequest.build.tabular import features_of
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bequest.build.regression import Regression
    from bequest.build.settings import TableFiles

MISSING = frozenset({*ConvertOptions().null_values, "?", "None", "<NA>"})
_LARGEST = 1e30  # squares and their sums stay numbers
_FIX = "every row needs a number such as `1234.5`, or nothing"


def target_task(settings: TableFiles, name: str, target: str) -> Regression:
    """The task of a table in one file, or in one file per side.

    settings: its label is the column `target`. Rows without a target are left out, and counted in a
    note.

    Raises:
        RequestError: a file or column can't be used, or a side would be empty.
    """
    paths = {FIELD_SIDES[field]: path for field, path in settings.files().items()}
    tables = {side: settings.read(path) for side, path in paths.items()}
    found = {side: numbers(table[target], target, paths[side]) for side, table in tables.items()}
    known = {side: ~np.isnan(values) for side, values in found.items()}
    kept = {side: table.filter(pa.array(known[side])) for side, table in tables.items()}
    values = np.concatenate([values[known[side]] for side, values in found.items()])
    if not len(values):
        what = f"no row has a number in column `{target}`"
        raise RequestError(Problem(what, "name a column of numbers", ("target",)))
    left = sum(int(np.sum(~rows)) for rows in known.values())
    notes = [f"{left} samples without a number in `{target}` were left out"] if left else []
    features = features_of(settings, kept)
    pool = Pool(features.ids, np.zeros(len(values), np.int64), features.side, features.group)
    notes += features.notes
    return regression(settings, name, target, pool, values, features.prepare, notes)


def numbers(column: Any, name: str, path: str) -> NDArray[np.float64]:
    """The numbers in a column, float64 [n], NaN where missing.

    name, path: of the column and its file, for messages.

    Raises:
        RequestError: a value is no number, or is too large to be squared.
    """
    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    values = _parsed(plain, name, path) if _is_text(plain.type) else _cast(plain, name)
    huge = np.flatnonzero(np.abs(values) > _LARGEST)  # infinite ones too
    if len(huge):
        raise _refused(
            name, path, plain, huge, f"is beyond {_LARGEST:g}, the largest that is taken"
        )
    return values


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _cast(column: Any, name: str) -> NDArray[np.float64]:
    kind = column.type
    if not any(
        test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    ):
        what = f"column `{name}` holds {kind}, not numbers"
        raise RequestError(Problem(what, "name a column of numbers", ("target",)))
    filled = column.cast(pa.float64(), safe=False).fill_null(float("nan"))
    values: NDArray[np.float64] = filled.to_numpy() + 0.0
    return values


def _parsed(column: Any, name: str, path: str) -> NDArray[np.float64]:
    """Numbers that are written as text."""
    said = pd.Series(pc.utf8_trim_whitespace(column.fill_null("")).to_pylist(), dtype=object)
    missing = said.isin(MISSING).to_numpy()
    parsed = pd.to_numeric(said.where(~missing, None), errors="coerce").to_numpy(np.float64)
    words = np.flatnonzero(np.isnan(parsed) & ~missing)
    if len(words):
        raise _refused(name, path, column, words, "is not a number")
    return np.where(missing, np.nan, parsed)


def _refused(name: str, path: str, column: Any, rows: NDArray[np.intp], why: str) -> RequestError:
    said = str(column[int(rows[0])].as_py())[:40]
    more = f"; so are {len(rows) - 1} more" if len(rows) > 1 else ""
    what = f"column `{name}`: `{said}` in row {rows[0] + 1} of `{path}` {why}{more}"
    return RequestError(Problem(what, _FIX, ("target",)))
