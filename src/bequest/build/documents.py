"""Texts in files: folders of documents, and records: JSON Lines, CSV, WordNet's data files."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bequest.build.dictionary import FILES, senses
from bequest.build.paths import located, missing
from bequest.build.text_files import (
    delimiter_notes,
    header_of,
    opened,
    plain_suffix,
    shown,
    there_are,
)
from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

LARGEST = 1 << 30  # bytes of one file or folder; more is not read into memory
LONGEST_LINE = 1 << 24
_PIECE = 1 << 20  # characters that are read together
_TABLES = (".csv", ".tsv", ".tab")
_RECORDS = (".jsonl", ".json", *_TABLES)
_ANY: Mapping[str, str] = {}


@dataclass(frozen=True)
class Record:
    """One record of a file: its fields, and where it stands (`file:line`)."""

    place: str
    fields: dict[str, Any]

    def text(self, field: str) -> str:
        """The text in a field.

        Raises:
            RequestError: there is no such field, or it holds something else.
        """
        value = self.value(field)
        if not isinstance(value, str):
            said = "empty" if value is None else f"a {type(value).__name__}"
            raise RequestError(Problem(f"`{self.place}`: `{field}` must be text, but is {said}"))
        return value

    def word(self, field: str) -> str:
        """What names something: a text without blanks around it, a whole number, or empty.

        A whole number is the same as `1` and as `1.0`.

        Raises:
            RequestError: there is no such field, or it holds something else.
        """
        value = self.value(field)
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if value is None or isinstance(value, int):
            return "" if value is None else str(value)
        return self.text(field).strip()

    def value(self, field: str) -> Any:
        """Whatever stands in a field.

        Raises:
            RequestError: there is no such field.
        """
        if field not in self.fields:
            raise RequestError(self.lack_of(field))
        return self.fields[field]

    def lack_of(self, field: str, setting: str = "") -> Problem:
        """The problem of a field that isn't there, which `setting` names."""
        fix = there_are(field, list(map(str, self.fields)))
        where = (setting,) if setting else ()
        meant = did_you_mean(field, self.fields)
        return Problem(f"`{self.place}` has no `{field}`", fix, where, meant)


def has_records(path: str) -> bool:
    """Whether a file's name says that it holds records."""
    place = located(path)
    return plain_suffix(place.name) in _RECORDS or place.name in FILES


def records(
    path: str,
    where: Mapping[str, str] = _ANY,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> Iterator[Record]:
    """The records of a CSV file, of one with a JSON object a line, or of WordNet, in order.

    where: the value that a field must have, by the field's name; other records are passed over.
    delimiter, encoding: of the file; found when left out, as `text_files` says.

    Raises:
        RequestError: the file or one of its lines can't be read, or has no such field.
    """
    for one in _all_records(path, delimiter, encoding):
        if all(one.word(field) == value for field, value in where.items()):
            yield one


def filled(template: str, one: Record) -> str:
    """A template with the record's texts where `{column}` stands.

    Raises:
        RequestError: there is no such column.
    """
    return re.sub(r"\{(\w+)\}", lambda found: one.text(found[1]), template)


def reading_notes(place: Path, delimiter: str | None, encoding: str | None) -> list[str]:
    """What is to be said of how the records of a file were read."""
    if plain_suffix(place.name) not in _TABLES:
        return []
    _, chosen = header_of(place, delimiter, encoding)
    return delimiter_notes(str(place), chosen, delimiter)


def _all_records(path: str, delimiter: str | None, encoding: str | None) -> Iterator[Record]:
    place = located(path)
    _refuse_large(path, place)
    if place.name in FILES:
        for number, sense in enumerate(senses(place), 1):
            yield Record(f"{path}:{number}", sense)
        return
    with opened(place, encoding) as lines:
        if plain_suffix(place.name) in _TABLES:
            _, chosen = header_of(place, delimiter, encoding)
            yield from _csv(path, lines, chosen)
        else:
            yield from _json_lines(path, lines)


def column_problems(
    path: str,
    columns: Mapping[str, str | None],
    where: Mapping[str, str] = _ANY,
    *,
    field: str = "path",
    delimiter: str | None = None,
    encoding: str | None = None,
) -> list[Problem]:
    """What keeps a file from having these columns, by the setting that names each.

    where: columns whose values are asked for; field: the setting that names the file; delimiter,
    encoding: as for `records`.
    """
    try:
        first = next(records(path, delimiter=delimiter, encoding=encoding), None)
    except RequestError as error:
        return of_file(error.problems, field)
    if first is None:
        return [Problem(f"`{path}` holds no records", field=(field,))]
    named = [(setting, column) for setting, column in columns.items() if column]
    named += [("where", column) for column in where]
    return [first.lack_of(column, setting) for setting, column in named
            if column not in first.fields]  # fmt: skip


def of_file(problems: Iterable[Problem], field: str) -> list[Problem]:
    """Problems of a file at the setting that names it, unless they are of another setting."""
    own = ((), ("path",))
    return [replace(one, field=(field,)) if one.field in own else one for one in problems]


def documents(path: str) -> list[tuple[str, str]]:
    """Name and text of every document: of a text file, or of all files below a folder, by name.

    Raises:
        RequestError: there is none, or one can't be read.
    """
    place = located(path)
    if place.is_file():
        _refuse_large(path, place)
        return [(path, _read(place))]
    if not place.is_dir():
        raise RequestError(missing(path))
    files = sorted(file for file in place.rglob("*") if file.is_file() and not _hidden(file, place))
    if sum(file.stat().st_size for file in files) > LARGEST:
        what = f"the files below `{path}` are over {LARGEST >> 30} GiB together"
        raise RequestError(Problem(what, "name a smaller folder", ("path",)))
    if not files:
        raise RequestError(Problem(f"`{path}` has no file in it", field=("path",)))
    return [(str(file.relative_to(place)), _read(file)) for file in files]


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _read(file: Path) -> str:
    with opened(file, newline=None) as lines:
        return _rest(str(file), lines)


def _rest(path: str, lines: Any) -> str:
    """What is left of an open file, piece by piece: memory for all that may come is never asked."""
    pieces, size = [], 0
    while piece := lines.read(_PIECE):
        pieces.append(piece)
        if (size := size + len(piece)) > LARGEST:
            raise RequestError(Problem(f"`{path}` is over {LARGEST >> 30} GiB when unpacked"))
    return "".join(pieces)


def _json_lines(path: str, lines: Any) -> Iterator[Record]:
    number, begun = 0, False
    while line := lines.readline(LONGEST_LINE + 1):
        number += 1
        place = f"{path}:{number}"
        if not begun and line.lstrip().startswith("["):
            yield from _json_list(path, line + _rest(path, lines))
            return
        if len(line) > LONGEST_LINE:
            raise RequestError(Problem(f"`{place}` is over {LONGEST_LINE >> 20} MiB long"))
        if not line.strip():
            continue
        begun = True
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            fix = "each line must be one JSON object"
            raise RequestError(Problem(f"`{place}` is not JSON: {error}", fix)) from error
        if not isinstance(fields, dict):
            fix = "write one object a line, or a list of objects"
            raise RequestError(Problem(f"`{place}` must be a JSON object", fix))
        if "\\u" in line and _is_halved(fields):
            raise RequestError(Problem(f"`{place}` holds half a surrogate pair"))
        yield Record(place, fields)


def _json_list(path: str, text: str) -> Iterator[Record]:
    """The records of a file that is one JSON list; their places are counted from 1."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        fix = "write one object a line, or a list of objects"
        raise RequestError(Problem(f"`{path}` is not JSON: {error}", fix)) from error
    for number, fields in enumerate(found, 1):
        place = f"{path}, record {number}"
        if not isinstance(fields, dict):
            raise RequestError(Problem(f"`{place}` must be a JSON object"))
        if "\\u" in text and _is_halved(fields):
            raise RequestError(Problem(f"`{place}` holds half a surrogate pair"))
        yield Record(place, fields)


def _is_halved(fields: dict[str, Any]) -> bool:
    """Whether a text in it is none in UTF-8, as JSON can write such."""
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _csv(path: str, lines: Any, delimiter: str) -> Iterator[Record]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))  # else 128 KiB
    reader = csv.DictReader(lines, strict=True, delimiter=delimiter)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        if twice := {name for name in names if name and names.count(name) > 1}:
            what = f"`{path}` has the column {', '.join(sorted(twice))} more than once"
            raise RequestError(Problem(what))
        reader.fieldnames = names
        for fields in reader:
            place = f"{path}:{reader.line_num}"
            if None in fields or None in fields.values():
                how = "more" if None in fields else "fewer"
                what = f"`{place}` has {how} values than the header has names"
                fix = f"values are separated by {shown(delimiter)}"
                raise RequestError(Problem(what, fix))
            yield Record(place, dict(fields))
    except csv.Error as error:
        raise RequestError(Problem(f"`{path}:{reader.line_num}`: {error}")) from error


def _refuse_large(path: str, place: Path) -> None:
    if not place.is_file():
        raise RequestError(missing(path))
    if place.stat().st_size > LARGEST:
        what = f"`{path}` is over {LARGEST >> 30} GiB"
        raise RequestError(Problem(what, "give a smaller part of it", ("path",)))
