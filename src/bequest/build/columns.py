"""Columns of tables: what each side's file says becomes numbers and words, matched by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bequest.build.column_values import (
    are_times,
    column_words,
    floats,
    is_number,
    is_text,
    parsed,
    plain,
    texts_in,
    trimmed,
    written_in,
)
from bequest.build.written import decimal_mark, decisive, joined, odd_one
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bequest.build.settings import ColumnSettings
    from bequest.build.written import Written

MOST_WORDS = 50
_NAMED = 10
_CHOOSE = "name the columns to use in `features`"


@dataclass(frozen=True)
class SideTable:
    """The table of one side as it was read.

    side: a position in `splitting.SIDES`; place: the file or split, for people; field: the setting
    that names it; table: a pyarrow table; doubtful: whether `1.234` may be a number above 1000;
    decimal: the mark before fractions where the user named it; rows: the number of each row in the
    file, from 1, where some were left out.
    """

    side: int
    place: str
    field: str
    table: Any
    doubtful: bool = False
    decimal: str | None = None
    rows: NDArray[np.int64] | None = None

    def take(self, rows: NDArray[np.bool_]) -> SideTable:
        """The same with these rows only."""
        numbers = np.arange(1, len(rows) + 1) if self.rows is None else self.rows
        return replace(self, table=self.table.filter(pa.array(rows)), rows=numbers[rows])

    def where(self, row: int) -> str:
        """The row at that position, for people."""
        return f"row {row + 1 if self.rows is None else self.rows[row]} of {self.place}"


@dataclass(frozen=True)
class Columns:
    """Features before they are made ready.

    numbers: float64 [n, numeric columns], NaN where missing.
    codes: int64 [n, word columns], positions in `words`; -1 where missing.
    """

    names: list[str]
    numbers: NDArray[np.float64]
    codes: NDArray[np.int64]
    words: list[list[str]]

    def contents(self) -> Iterator[bytes]:
        """Canonical bytes of each row."""
        lists = [[*words, ""] for words in self.words]
        for numbers, codes in zip(self.numbers, self.codes, strict=True):
            said = (words[code] for words, code in zip(lists, codes, strict=True))
            yield numbers.tobytes() + "\x1f".join(said).encode()


def read_columns(tables: Sequence[SideTable], names: Sequence[str]) -> tuple[Columns, list[str]]:
    """The columns of these names, all sides below each other, and notes on how they were read.

    Raises:
        RequestError: a column holds something else than numbers or words, or can be read in two
            ways.
    """
    columns = {name: [trimmed(side.table[name]) for side in tables] for name in names}
    written = {name: found for name, found in zip(names, map(written_in, columns.values()),
                                                  strict=True) if found}  # fmt: skip
    reader = _Reader(tables, written)
    problems = []
    for name, parts in columns.items():
        try:
            reader.read(name, parts)
        except RequestError as error:
            problems += error.problems
    if not reader.numbers and not reader.words and not problems:
        problems = [Problem("the table has no column to learn from")]
    if problems:
        raise RequestError(problems)
    return reader.columns(), reader.notes()


class _Reader:
    """Takes columns up one by one, with what is to be said about them."""

    def __init__(self, tables: Sequence[SideTable], written: dict[str, list[Written]]) -> None:
        self._tables, self._written = tables, written
        self._doubtful = any(side.doubtful for side in tables)
        whole = [joined(parts) for parts in written.values()]
        self._doubtful |= any(column.commas for column in whole)
        # In a CSV file all columns are texts, so that one of numbers is no wonder.
        self._all_texts = all(is_text(kind) for side in tables for kind in side.table.schema.types)
        self._mark = tables[0].decimal or decisive(whole)
        self.numbers: dict[str, NDArray[np.float64]] = {}
        self.words: dict[str, tuple[list[str], NDArray[np.int64]]] = {}
        self._marks: dict[str, Counter[str]] = {}
        self._commas: list[str] = []
        self._stored: list[str] = []
        self._mixed: list[str] = []
        self._empty: list[str] = []

    def read(self, name: str, parts: list[Any]) -> None:
        """Take the column up."""
        if all(len(part) == part.null_count for part in parts):
            self._empty.append(name)
        elif name in self._written:
            self._text(name, parts, self._written[name])
        elif all(is_number(plain(part).type) for part in parts):
            self._take_numbers(name, [floats(part) for part in parts])
        else:
            self._take_words(name, parts)

    def _text(self, name: str, parts: list[Any], written: list[Written]) -> None:
        whole = joined(written)
        self._refuse_other_kinds(name, written)
        if whole.are_numbers():
            mark = decimal_mark(whole, name, self._mark, doubtful=self._doubtful)
            self._marks[name] = whole.missing
            if whole.commas:
                self._commas.append(name)
            elif not self._all_texts:
                self._stored.append(name)
            self._take_numbers(name, [parsed(part, mark) for part in parts])
        elif odd := odd_one(whole):
            what = f"column `{name}` holds numbers, but {self._where(name, odd)}"
            fix = "write plain numbers such as 1234.5 and nothing where one is missing, or "
            raise RequestError(Problem(what, fix + _CHOOSE))
        else:
            if whole.points or whole.commas or whole.nearly:
                self._mixed.append(name)
            self._take_words(name, parts)

    def _take_numbers(self, name: str, parts: list[NDArray[np.float64]]) -> None:
        for side, numbers in zip(self._tables, parts, strict=True):
            endless = np.flatnonzero(np.isinf(numbers))
            if len(endless):
                what = f"column `{name}` is infinite in {len(endless)} rows, first in "
                fix = "leave such rows or the column out"
                raise RequestError(Problem(what + side.where(int(endless[0])), fix))
        self.numbers[name] = np.concatenate(parts)

    def _take_words(self, name: str, parts: list[Any]) -> None:
        words, codes = column_words(parts, name)
        if {word.lower() for word in words} <= {"true", "false"}:
            words, codes = column_words([pc.utf8_lower(texts_in(part)) for part in parts], name)
        if problem := _no_words(parts, words, name):
            raise RequestError(problem)
        self.words[name] = words, codes

    def _refuse_other_kinds(self, name: str, written: list[Written]) -> None:
        numbers = [number for number, part in enumerate(written) if part.are_numbers()]
        words = [number for number, part in enumerate(written) if part.are_words() and part.words]
        if numbers and words:
            here, there = self._tables[numbers[0]], self._tables[words[0]]
            word = next(iter(written[words[0]].words))
            what = f"column `{name}` holds numbers in {here.place}, but words in {there.place}, "
            later = max(here, there, key=lambda one: one.side).field
            fix = "all files must have the same kinds of columns"
            raise RequestError(Problem(f"{what}such as `{word}`", fix, (later,)))

    def _where(self, name: str, value: str) -> str:
        for side in self._tables:
            row = pc.index(texts_in(side.table[name]), value).as_py()
            if row >= 0:
                return f"`{value}` in {side.where(row)}"
        return f"`{value}`"

    def columns(self) -> Columns:
        """All that was taken up, numbers before words."""
        count = sum(side.table.num_rows for side in self._tables)
        empty = np.zeros((count, 0))
        coded = self.words.values()
        return Columns(
            [*self.numbers, *self.words],
            np.column_stack([empty, *self.numbers.values()]),
            np.column_stack([empty.astype(np.int64), *(codes for _, codes in coded)]),
            [words for words, _ in coded],
        )

    def notes(self) -> list[str]:
        """How columns were read, where that could be done otherwise."""
        said = {
            "with numbers that have a decimal comma: `1,4` is read as 1.4": self._commas,
            "stored as text, but read as numbers": self._stored,
            "with words and numbers: all are read as words": self._mixed,
            "without any value, left out": self._empty,
        }
        notes = [f"columns {how}: {_listed(names)}" for how, names in said.items() if names]
        return [*notes, *self._missing_notes()]

    def _missing_notes(self) -> list[str]:
        gaps = {name: int(np.isnan(values).sum()) for name, values in self.numbers.items()}
        silent = {name: int((codes < 0).sum()) for name, (_, codes) in self.words.items()}
        notes = []
        if total := sum(gaps.values()):
            told = _listed([name for name, count in gaps.items() if count], self._told(gaps))
            notes.append(f"{total} missing numbers got the training median of their column: {told}")
        if total := sum(silent.values()):
            told = _listed([name for name, count in silent.items() if count],
                           {name: f" {count}" for name, count in silent.items()})  # fmt: skip
            notes.append(f"{total} missing words count as no word: {told}")
        return notes

    def _told(self, gaps: dict[str, int]) -> dict[str, str]:
        """What follows the name of each column: how many are missing, and how that is written."""
        told = {}
        for name, count in gaps.items():
            marks = ", ".join(f"`{mark}`" for mark in sorted(self._marks.get(name, ())))
            told[name] = f" {count} (written {marks})" if marks else f" {count}"
        return told


def column_group(tables: Sequence[SideTable], settings: ColumnSettings) -> NDArray[np.str_] | None:
    """The group of each row, or None where no column of groups is named.

    Raises:
        RequestError: a row has none.
    """
    if settings.group_column is None:
        return None
    name = settings.group_column
    words, codes = column_words([side.table[name] for side in tables], name)
    if (codes < 0).any():
        what = f"{np.sum(codes < 0)} samples have no `{name}`"
        raise RequestError(Problem(what, "every sample needs its group", ("group_column",)))
    return np.array(words, dtype=np.str_)[codes]


def _no_words(parts: list[Any], words: list[str], name: str) -> Problem | None:
    """What keeps a column that holds no numbers from being used as one of words."""
    for kind in {plain(part).type for part in parts}:
        if not (is_text(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
            return Problem(f"column `{name}` holds {kind}, not numbers or words", _CHOOSE)
    if are_times(words):
        what = f"column `{name}` holds dates or times such as `{words[0]}`, not numbers or words"
        return Problem(what, _CHOOSE)
    if len(words) <= MOST_WORDS:
        return None
    what = f"column `{name}` has {len(words)} different words, such as `{words[0][:40]}`"
    return Problem(f"{what}; at most {MOST_WORDS} can be used", _CHOOSE)


def _listed(names: Sequence[str], told: dict[str, str] | None = None) -> str:
    shown = ", ".join(f"`{name}`{(told or {}).get(name, '')}" for name in names[:_NAMED])
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
