"""What stands in a column of texts: numbers as people write them, marks of missing ones, words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unicodedata import decimal

from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What pandas takes for a missing value, and `?` of the UCI files.
MISSING = frozenset(
    (
        "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "?",
    )
)  # fmt: skip
_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_NUMBER = re.compile(rf"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+){_EXPONENT}|[+-]?inf(?:inity)?", re.I)
_COMMA = re.compile(rf"[+-]?(?:[0-9]+,[0-9]*|,[0-9]+){_EXPONENT}")
GROUPS = r"^[+-]?[1-9][0-9]{0,2}[.,][0-9]{3}$"  # `1.234`: perhaps a number above 1000
_GROUPS = re.compile(GROUPS)
_MONEY = "$€£¥₹"
# Numbers with signs for thousands, shares or money, which aren't read.
_NEARLY = re.compile(
    rf"[-+(]?[{_MONEY}]?\s*"
    r"(?:[0-9]{1,3}(?:[.,'’ \u00a0\u202f_][0-9]{3})+(?:[.,][0-9]+)?|[0-9]*[.,]?[0-9]+)"
    rf"(?:[dD][+-][0-9]+)?\s*[%‰{_MONEY}]?[-)]?"
)
# Signs beyond ASCII that stand in numbers, beside the digits of other scripts.
_SIGNS = str.maketrans("−‐‑–＋﹣－٫٬．，", "----+--.,.,")
_FIX = "write plain numbers such as 1234.5, and nothing where one is missing"


@dataclass(frozen=True)
class Written:
    """Different values of a column, without blanks around them, each with its number of rows.

    points, commas: numbers with a decimal point (or whole ones), and with a decimal comma.
    nearly: numbers with more signs; missing: marks of missing values; words: all others.
    """

    points: Counter[str] = field(default_factory=Counter)
    commas: Counter[str] = field(default_factory=Counter)
    nearly: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)

    def are_numbers(self) -> bool:
        """Whether there are numbers, and nothing else but marks of missing ones."""
        return bool(self.points or self.commas) and not self.nearly and not self.words

    def are_words(self) -> bool:
        """Whether there is no number at all, but something else."""
        return bool(self.words or self.missing) and not (self.points or self.commas or self.nearly)


def sorted_out(counts: Mapping[str, int]) -> Written:
    """Values of a column by what they are; counts: the number of rows of each."""
    found = Written()
    for value, count in counts.items():
        _kind(found, value)[value] += count
    return found


def joined(parts: Iterable[Written]) -> Written:
    """What stands in all parts of a column."""
    whole = Written()
    for part in parts:
        for name in vars(whole):
            getattr(whole, name).update(getattr(part, name))
    return whole


def decisive(columns: Iterable[Written]) -> str | None:
    """The decimal mark of a file: the one of its numbers that can be read in one way only.

    None where there is no such number, or where both marks are used.
    """
    marks = set()
    for column in columns:
        if not column.words:
            points = (value for value in column.points if "." in value)
            marks |= {"." for value in points if not _GROUPS.fullmatch(value)}
            marks |= {"," for value in column.commas if not _GROUPS.fullmatch(value)}
    return marks.pop() if len(marks) == 1 else None


def decimal_mark(column: Written, name: str, file_mark: str | None, *, doubtful: bool) -> str:
    """The decimal mark of a column of numbers.

    file_mark: that of the file, if it is known; doubtful: whether `1.234` may be above 1000, too.

    Raises:
        RequestError: the numbers have another mark, or can be read in two ways.
    """
    points = [value for value in column.points if "." in value]
    if not column.commas and not points:
        return "."
    if column.commas and points:
        what = f"column `{name}` has numbers with a comma (`{next(iter(column.commas))}`) and with "
        raise RequestError(Problem(f"{what}a point (`{points[0]}`)", _FIX))
    mark, values = (",", list(column.commas)) if column.commas else (".", points)
    own = file_mark or decisive([column])
    if own is None and (mark == "," or doubtful):
        what = f"column `{name}` has numbers such as `{values[0]}`, which may be above 1000 or not"
        fix = "set `decimal` to the mark before fractions, `.` or `,`, or " + _FIX
        raise RequestError(Problem(what, fix))
    if own not in (None, mark):
        what = f"column `{name}` has `{values[0]}`, but the decimal mark of the table is `{own}`"
        raise RequestError(Problem(what, _FIX))
    return mark


def odd_one(column: Written) -> str | None:
    """A value that keeps a column of mostly numbers from being one of numbers, or None."""
    numbers = sum(sum(kind.values()) for kind in (column.points, column.commas, column.nearly))
    others = sum(column.words.values())
    if not numbers or others >= numbers:
        return None
    return next(iter(column.words or column.nearly), None)


def _kind(found: Written, value: str) -> Counter[str]:
    if value in MISSING:
        return found.missing
    if _NUMBER.fullmatch(value):
        return found.points
    if _COMMA.fullmatch(value):
        return found.commas
    return found.nearly if _is_nearly(value) else found.words


def _is_nearly(value: str) -> bool:
    """Whether it would be a number with fewer signs, or with digits and signs of ASCII."""
    if value.isascii():
        return bool(_NEARLY.fullmatch(value))
    plain = "".join(str(decimal(sign, sign)) for sign in value.translate(_SIGNS))
    return any(form.fullmatch(plain) for form in (_NUMBER, _COMMA, _NEARLY))
