"""Text files as they are found: of any encoding, compressed or not, and what separates values."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zlib
from contextlib import contextmanager
from itertools import chain, count
from typing import IO, TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

LONGEST_HEADER = 1 << 20  # characters
DELIMITERS = {",": "`,`", ";": "`;`", "\t": "tabs", "|": "`|`"}
_COMPRESSED: Mapping[bytes, Callable[[Path, str], Any]] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open,
}  # fmt: skip
_OF_TABS = (".tsv", ".tab")
_ENDINGS = (".gz", ".bz2", ".xz")
_NO_TEXT = {
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "unpack it, or save the table as CSV"),
    b"\x28\xb5\x2f\xfd": ("compressed by Zstandard", "unpack it"),
    b"PAR1": ("a Parquet file", "`use: parquet` reads it"),
}
# The longest first, as the mark of UTF-16 is the beginning of that of UTF-32.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_PEEKED = 4096
_COLUMNS = 20  # that a message names
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError)


def plain_suffix(name: str) -> str:
    """The ending of a file's name in lower case, without that of a compression: `.csv`."""
    lower = name.lower()
    for ending in _ENDINGS:
        lower = lower.removesuffix(ending)
    return f".{lower.rpartition('.')[2]}" if "." in lower else ""


def known_encoding(name: str | None) -> str | None:
    """The name, if Python knows an encoding of texts by it.

    Raises:
        ValueError: it knows none.
    """
    try:
        if name is not None:
            "a".encode(name)
    except (LookupError, UnicodeError) as error:
        raise ValueError("must be an encoding such as utf-8, cp1252, latin-1 or utf-16") from error
    return name


@contextmanager
def opened(place: Path, encoding: str | None = None, newline: str | None = "") -> Iterator[IO[str]]:
    """The characters of a text file, unpacked if need be.

    encoding: that of the file; when left out, what the mark at its beginning says, else UTF-8.
    newline: as for `open`; line ends stay as they are when left out.

    Raises:
        RequestError: it can't be read, isn't of that encoding, or is an archive.
    """
    with unpacked(place) as content:
        chosen = encoding_of(place, encoding)
        lines = io.TextIOWrapper(content, encoding=chosen, newline=newline)
        try:
            yield lines
        except UnicodeError as error:
            raise RequestError(not_of(place, chosen)) from error
        finally:
            lines.detach()


@contextmanager
def unpacked(place: Path) -> Iterator[Any]:
    """The bytes of a file, unpacked if it is compressed by gzip, bzip2 or xz.

    Raises:
        RequestError: it can't be read.
    """
    try:
        with place.open("rb") as file:
            start = file.read(8)
        unpack = next((how for mark, how in _COMPRESSED.items() if start.startswith(mark)), None)
        with unpack(place, "rb") if unpack else place.open("rb") as content:
            yield content
    except _BROKEN as error:
        said = getattr(error, "strerror", None) or str(error)
        raise RequestError(Problem(f"`{place}` can't be read: {said}")) from error


def encoding_of(place: Path, encoding: str | None = None) -> str:
    """The encoding of a text file: the one named, that of its mark, or UTF-8.

    Raises:
        RequestError: what it holds is no text, or in UTF-16 without a mark.
    """
    with unpacked(place) as content:
        start = content.read(_PEEKED)
    for mark, (kind, fix) in _NO_TEXT.items():
        if start.startswith(mark):
            raise RequestError(Problem(f"`{place}` is {kind}", fix))
    marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
    if encoding is None and marked is None and b"\0" in start:
        fix = "if it is text in UTF-16 without a mark, set `encoding: utf-16-le` or convert it"
        raise RequestError(Problem(f"`{place}` holds zero bytes, as no UTF-8 text does", fix))
    if encoding and marked and codecs.lookup(encoding).name[:5] == marked[:5]:
        return marked  # `utf-16-le` would keep the mark as a character
    return encoding or marked or "utf-8"


def not_of(place: Path, encoding: str) -> Problem:
    """The problem of a file that isn't in this encoding, with the line of its first mistake."""
    name = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
    with unpacked(place) as content:
        decoder, line = codecs.getincrementaldecoder(encoding)(), 1
        try:
            while chunk := content.read(_PEEKED):
                line += decoder.decode(chunk).count("\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            what = f"`{place}` is not {name}: byte {error.object[error.start]:#x} in line {line}"
        except UnicodeError as error:
            what = f"`{place}` is not {name}: {error}"
        else:
            what = f"`{place}` is not {name}"
    fix = "convert it to UTF-8, or name its `encoding`, such as cp1252 or latin-1, where the task "
    return Problem(what, fix + "has that setting (`csv` and `text` do)")


def delimiter_of(place: Path, header: str, wanted: str | None = None) -> str:
    """What separates the values of a table: what is wanted, else what its name or header say.

    A header with a comma has values between commas; otherwise the one of `;`, tabs and `|` that
    stands in it most often separates them.
    """
    if wanted:
        return wanted
    if plain_suffix(place.name) in _OF_TABS:
        return "\t"
    counts = {each: len(_next_row([header], each)) for each in DELIMITERS}
    most = max(counts, key=lambda each: counts[each])
    return "," if counts[","] > 1 else most


def there_are(wanted: str, columns: Sequence[str]) -> str:
    """The columns of a table that lacks the one wanted, or why it seems to have only one."""
    if len(columns) == 1 and wanted in re.split(r"\W+", columns[0]):
        setting = "`delimiter` names what separates values, in `csv`, `regression` and `text`"
        return f"its only column is `{columns[0]}`: {setting}"
    return f"there are {', '.join(columns[:_COLUMNS])}{' …' if len(columns) > _COLUMNS else ''}"


def shown(delimiter: str) -> str:
    """A delimiter for people."""
    return DELIMITERS.get(delimiter, f"`{delimiter}`")


def delimiter_notes(path: str, delimiter: str, wanted: str | None) -> list[str]:
    """A note on values that are separated by something else than commas, if nobody said so."""
    if wanted or delimiter == "," or plain_suffix(path) in _OF_TABS:
        return []
    return [f"`{path}` has {shown(delimiter)} between its values (`delimiter`)"]


def named(header: Sequence[str]) -> list[str]:
    """Names without blanks around them, and as pandas calls columns where there is none.

    A table that pandas wrote, read and wrote again has a column `Unnamed: 0` and one without a
    name before it, which becomes `Unnamed: 0.1`.
    """
    given = [name.strip() for name in header]
    return [name or _free_name(f"Unnamed: {place}", given) for place, name in enumerate(given)]


def _free_name(name: str, taken: Sequence[str]) -> str:
    numbered = (f"{name}.{number}" for number in count(1))
    return next(each for each in chain([name], numbered) if each not in taken)


def header_of(
    place: Path, delimiter: str | None = None, encoding: str | None = None
) -> tuple[list[str], str]:
    """The names in the first line of a table, as written, and what separates its values.

    Raises:
        RequestError: it can't be read.
    """
    with opened(place, encoding) as lines:
        first = lines.readline(LONGEST_HEADER)
        chosen = delimiter_of(place, first, delimiter)
        names = _next_row(chain([first], lines), chosen)
    other = delimiter_of(place, first)
    if len(names) == 1 and other != chosen and other in first:
        what = f"the header of `{place}` has no {shown(chosen)} (`delimiter`), but {shown(other)}"
        raise RequestError(Problem(what, "leave `delimiter` out, or name that one"))
    return names, chosen


def _next_row(lines: Iterable[str], delimiter: str) -> list[str]:
    try:
        return next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error as error:
        raise RequestError(Problem(f"the header can't be read: {error}")) from error
