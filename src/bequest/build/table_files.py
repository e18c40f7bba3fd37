"""Tables in CSV and Parquet files, one for each side, with every value as it was written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from bequest.build.columns import SideTable
from bequest.build.paths import located
from bequest.build.splitting import FIELD_SIDES
from bequest.build.text_files import (
    delimiter_notes,
    encoding_of,
    header_of,
    named,
    not_of,
    shown,
    unpacked,
)
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def csv_tables(
    files: Mapping[str, str],
    delimiter: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
) -> tuple[list[SideTable], list[str]]:
    """The tables of CSV files by the setting that names each, all values texts, and notes.

    Raises:
        RequestError: a file or line can't be read.
    """
    tables, notes = [], []
    for field, path in files.items():
        try:
            names, chosen = header_of(located(path), delimiter, encoding)
            table = _read_csv(located(path), path, names, chosen, encoding)
        except RequestError as error:
            raise RequestError([problem.under(field) for problem in error.problems]) from error
        side = FIELD_SIDES[field]
        tables.append(SideTable(side, f"`{path}`", field, table, chosen == ";", decimal))
        notes += delimiter_notes(path, chosen, delimiter)
    _refuse_empty(tables)
    return tables, notes


def parquet_tables(files: Mapping[str, str]) -> list[SideTable]:
    """The tables of Parquet files by the setting that names each.

    Raises:
        RequestError: a file can't be read.
    """
    tables = []
    for field, path in files.items():
        try:
            table = pq.read_table(located(path))
            table.validate(full=True)  # codes of categories may lie behind their end
        except (pa.ArrowException, OSError, ValueError) as error:
            what = f"`{path}` can't be read: {error}"
            raise RequestError(Problem(what, field=(field,))) from error
        tables.append(SideTable(FIELD_SIDES[field], f"`{path}`", field, table))
    _refuse_empty(tables)
    return tables


def _read_csv(
    place: Path, path: str, header: list[str], delimiter: str, encoding: str | None
) -> Any:
    chosen = encoding_of(place, encoding)
    try:
        with unpacked(place) as content:
            table = csv.read_csv(
                content,
                # One thread knows the number of a line that can't be read.
                csv.ReadOptions(
                    use_threads=False, encoding="utf8" if chosen == "utf-8-sig" else chosen
                ),
                csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
    except UnicodeError as error:
        raise RequestError(not_of(place, chosen)) from error
    except pa.ArrowInvalid as error:
        problem = not_of(place, chosen) if "invalid UTF8" in str(error) else None
        raise RequestError(problem or _unreadable(path, str(error), delimiter)) from error
    if len(table.column_names) != len(header):
        what = f"the header of `{path}` has {len(header)} names, but the table other columns"
        raise RequestError(Problem(what, "write the header in one line"))
    return table.rename_columns(named(header))


def _unreadable(path: str, said: str, delimiter: str) -> Problem:
    row = re.search(r"Row #(\d+): ", said)
    place = f"{path}:{row[1]}" if row else path
    told = said.replace(row[0], "") if row else said
    fix = f"values are separated by {shown(delimiter)} (`delimiter`)"
    return Problem(f"`{place}`: {told}", fix)


def _refuse_empty(tables: list[SideTable]) -> None:
    empty = [side for side in tables if not side.table.num_rows]
    if empty:
        raise RequestError(
            [
                Problem(f"{side.place} has a header, but no rows", field=(side.field,))
                for side in empty
            ]
        )
