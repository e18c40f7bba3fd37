"""Raw inputs of a delivered model in files: rows of a table, pictures, texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.columns import SideTable
from bequest.build.decoding import endings
from bequest.build.documents import documents, has_records, records
from bequest.build.paths import located, missing
from bequest.build.table_files import csv_tables, parquet_tables
from bequest.build.text_files import plain_suffix
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
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
    table, notes = _table(path, place, asked)
    count = table.table.num_rows if isinstance(table, SideTable) else len(table)
    given = table if "features" in asked.done else _by_place(table)
    return "row", list(range(1, count + 1)), given, notes


def _by_place(table: Any) -> Any:
    """Numbers of a table whose task names no columns, [n, columns]."""
    return table.table.to_pandas().to_numpy() if isinstance(table, SideTable) else table


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


def _table(path: str, place: Path, asked: Asked) -> tuple[Any, list[str]]:
    """The rows of a file, read as a task reads its own."""
    suffix = plain_suffix(place.name)
    if place.is_dir() or suffix not in _TABLES:
        what = f"`{path}` is no table"
        raise RequestError(Problem(what, f"the model reads rows: name a {', '.join(_TABLES)} file"))
    if suffix == ".parquet":
        return parquet_tables({"path": path})[0], []
    if suffix == ".jsonl":
        return [one.fields for one in records(path)], []
    said = asked.reading
    delimiter = None if suffix == ".tsv" else said.get("delimiter")
    tables, notes = csv_tables({"path": path}, delimiter, said.get("encoding"), said.get("decimal"))
    return tables[0], list(notes)
