"""Columns that number or name the rows of a table: they say nothing about a sample."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from bequest.build.column_values import is_text, trimmed
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.build.columns import SideTable
    from bequest.build.settings import ColumnSettings

_STORED = re.compile(r"__index_level_[0-9]+__")
_UNNAMED = re.compile(r"Unnamed: [0-9]+([.][0-9]+)*(_level_[0-9]+)?")
_OF_IDS = re.compile(
    r"(?:.*[_\s.-])?(?:id|idx|index|uuid|guid|row|row[_\s]?(?:nr|no|num|number|names?))|level_[0-9]+",
    re.I,
)
_OF_IDS_TOO = re.compile(r".*[a-z](?:Id|ID)")
_FEWEST_ROWS = 10  # below it, numbers that follow each other are no surprise
_USE = "name it in `features` to use it"


def without_row_names(
    tables: Sequence[SideTable], settings: ColumnSettings
) -> tuple[list[str], list[str]]:
    """Names of the columns that only name rows, and notes on them.

    They are those that pandas stored as an index; columns without a name, and columns called like
    ids, that tell all rows apart. What the settings name is never among them.

    Raises:
        RequestError: a column without a name is something else.
    """
    if settings.features is not None:
        return [], []
    free = _free(tables, settings)
    stored, ids = stored_indexes(tables, settings), ids_of_rows(tables, settings)
    nameless = [name for name in free if name not in stored and _UNNAMED.fullmatch(name)
                and not _is_empty(tables, name)]  # fmt: skip
    if nameless and not _tells_apart(tables, nameless):
        what = f"`{nameless[0]}` is a column without a name, and not one of row numbers"
        fix = "give it a name, or name the columns to use in `features`"
        raise RequestError(Problem(what, fix))
    said = {"the row index that pandas stored": stored,
            "a column without a name that numbers the rows": nameless,
            "a column of ids, another one in every row": ids}  # fmt: skip
    notes = [f"`{name}` is {what}: left out; {_USE}" for what, names in said.items()
             for name in names]  # fmt: skip
    others = [name for name in free if name not in (*stored, *nameless, *ids)]
    counting = [name for name in others if _counts_rows(tables, name)]
    counts = "counts the rows (1, 2, 3 …) and was given to the model; if it says nothing about a "
    notes += [f"`{name}` {counts}sample, name the others in `features`" for name in counting]
    return [*stored, *nameless, *ids], notes


def stored_indexes(tables: Sequence[SideTable], settings: ColumnSettings) -> list[str]:
    """Columns that pandas stored as an index."""
    return [name for name in _free(tables, settings) if _is_stored(tables, name)]


def ids_of_rows(tables: Sequence[SideTable], settings: ColumnSettings) -> list[str]:
    """Columns that are called like ids, and have another whole number or word in every row."""
    return [name for name in _free(tables, settings)
            if _names_ids(name) and not _is_stored(tables, name)
            and _tells_apart(tables, [name], words=True)]  # fmt: skip


def _free(tables: Sequence[SideTable], settings: ColumnSettings) -> list[str]:
    every = dict.fromkeys(name for side in tables for name in side.table.column_names)
    named = (settings.label, settings.group_column, *(settings.features or ()))
    return [name for name in every if name not in named]


def _is_stored(tables: Sequence[SideTable], name: str) -> bool:
    """Whether pandas wrote the column as its index, by the metadata of the file or by its name."""
    if _STORED.fullmatch(name):
        return True
    told = [side.table.schema.pandas_metadata or {} for side in tables]
    return any(name in metadata.get("index_columns", ()) for metadata in told)


def _names_ids(name: str) -> bool:
    return bool(_OF_IDS.fullmatch(name) or _OF_IDS_TOO.fullmatch(name))


def _is_empty(tables: Sequence[SideTable], name: str) -> bool:
    parts = [trimmed(part) for part in _parts(tables, name)]
    return all(part.null_count == len(part) for part in parts)


def _tells_apart(tables: Sequence[SideTable], names: list[str], *, words: bool = False) -> bool:
    """Whether whole numbers (or words) of these columns together differ in each row of a side."""
    for side in tables:
        there = [name for name in names if name in side.table.column_names]
        columns = [_whole_numbers(side.table[name]) for name in there]
        if words and len(there) == 1 and columns[0] is None and is_text(side.table[there[0]].type):
            columns = [trimmed(side.table[there[0]])]
        if any(column is None or column.null_count for column in columns):
            return False
        whole = pa.table({str(number): column for number, column in enumerate(columns)})
        if there and len(whole.group_by(whole.column_names).aggregate([])) < len(whole):
            return False
    return True


def _counts_rows(tables: Sequence[SideTable], name: str) -> bool:
    """Whether each value is the one of the row before and 1 more, in the order of the file."""
    parts = _parts(tables, name)
    beginnings = [part.slice(0, _FEWEST_ROWS) for part in parts]  # most columns show it there
    return all(map(_is_running, beginnings)) and all(map(_is_running, parts))


def _is_running(part: Any) -> bool:
    numbers = _whole_numbers(part)
    if numbers is None or numbers.null_count or len(numbers) < _FEWEST_ROWS:
        return False
    values = numbers.to_numpy()
    return bool((values[1:] - values[:-1] == 1).all())


def _whole_numbers(column: Any) -> Any:
    """A column as int64, or None where it holds something else."""
    said = trimmed(column)
    if pa.types.is_boolean(said.type):
        return None
    for kind in (pa.int64(), pa.float64()):  # floats can't tell large whole numbers apart
        try:
            return pc.cast(said, kind).cast(pa.int64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
    return None


def _parts(tables: Sequence[SideTable], name: str) -> list[Any]:
    return [side.table[name] for side in tables if name in side.table.column_names]
