"""Raw inputs of a delivered model in files: rows of a table, pictures, texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import csv as csv_reader

from bequest.build.decoding import endings
from bequest.build.documents import documents, has_records, records
from bequest.build.paths import located, missing
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bequest.build.preparation import Asked

_TABLES = (".csv", ".tsv", ".parquet", ".jsonl")
_SHOWN = 5


def read_inputs(path: str, asked: Asked) -> tuple[str, list[Any], Any, list[str]]:
    """What the inputs are called (`row`, `file`, `text`), each by name, all of them, and notes.

    Raises:
        RequestError: the file can't be read, or holds inputs of another kind.
    """
    place = located(path)
    if not place.exists():
        raise RequestError(missing(path, ""))
    if asked.kind == "text":
        texts, notes = _texts(path, asked)
        return "text", list(texts), texts, notes
    if asked.kind == "image" and "features" not in asked.done:
        return _pictures(path, place)
    table = _table(path, place, asked)
    count = table.num_rows if isinstance(table, pa.Table) else len(table)
    return "row", list(range(1, count + 1)), table, []


def _texts(path: str, asked: Asked) -> tuple[list[str], list[str]]:
    """One text a line, or one a record."""
    if located(path).is_dir():
        what = f"`{path}` is a folder"
        raise RequestError(Problem(what, "name a file with one text a line, or .csv, or .jsonl"))
    if has_records(path):
        column = asked.reading.get("text", "text")
        return [one.text(column) for one in records(path)], []
    lines = documents(path)[0][1].splitlines()
    empty = sum(not line.strip() for line in lines)
    notes = [f"{empty} empty lines were left out"] if empty else []
    return [line for line in lines if line.strip()], notes


def _pictures(path: str, place: Path) -> tuple[str, list[Any], list[Path], list[str]]:
    files = [place] if place.is_file() else _visible(place)
    known = endings()
    found = [file for file in files if file.suffix.lower() in known]
    others = [file for file in files if file not in found]
    if not found:
        seen = ", ".join(sorted({file.suffix or file.name for file in others})) or "nothing"
        what = f"`{path}` holds no picture; there is {seen}"
        raise RequestError(Problem(what, f"pictures end in {', '.join(sorted(known))}"))
    notes = [f"{len(others)} files that are no pictures were left out: "
             f"{', '.join(file.name for file in others[:_SHOWN])}"] if others else []  # fmt: skip
    return "file", [str(file) for file in found], found, notes


def _visible(folder: Path) -> list[Path]:
    found = sorted(file for file in folder.rglob("*") if file.is_file())
    return [
        file for file in found
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]  # fmt: skip


def _table(path: str, place: Path, asked: Asked) -> Any:
    if place.suffix.lower() not in _TABLES or place.is_dir():
        what = f"`{path}` is no table"
        raise RequestError(Problem(what, f"the model reads rows: name a {', '.join(_TABLES)} file"))
    try:
        if place.suffix.lower() == ".parquet":
            from pyarrow import parquet

            return parquet.read_table(place)
        if place.suffix.lower() == ".jsonl":
            return [one.fields for one in records(path)]
        return _csv(place, asked)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RequestError(Problem(f"`{path}` can't be read: {error}")) from error


def _csv(place: Path, asked: Asked) -> Any:
    """Columns that were of words are so here too, whatever stands in them."""
    names: Sequence[str] = asked.done.get("features", ())
    words = names[len(asked.done.get("median", ())) :]
    delimiter = "\t" if place.suffix.lower() == ".tsv" else asked.reading.get("delimiter", ",")
    return csv_reader.read_csv(
        place,
        csv_reader.ReadOptions(use_threads=False),
        csv_reader.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        csv_reader.ConvertOptions(
            column_types={name: pa.string() for name in words}, strings_can_be_null=True
        ),
    )
