"""Phrases as words that can be compared, whatever their case, accents and marks."""

from __future__ import annotations

import re
import unicodedata
from functools import partial
from typing import TYPE_CHECKING

from bequest.build import scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# What may be missing in the middle of a name, or be put before it.
_STOP = (
    "a an the and or of in on at to for from by with as is are was were be been it its his her "
    "their this that these those"
)
STOP_WORDS = frozenset(_STOP.split())
_POSSESSIVE = re.compile(r"['’]s\b", re.IGNORECASE)
# Accents, and the points of Arabic and Hebrew that are mostly left out; other marks are vowels.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670]"
)
_ENDING = re.compile(r"(es|(?<!s)s|e)$")  # of plurals in -s and -es, and what they leave
_FOLDED_FROM = 4  # characters; shorter words stay as they are
_PLURALS = (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("es", "is"))
_GROUP = 3  # digits of a group that goes on with a number, and not less
# Letters with a stroke, and two in one, that Unicode doesn't take apart.
_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "ð": "d", "þ": "th",
                          "æ": "ae", "œ": "oe"})  # fmt: skip


def plain(text: str) -> str:
    """Lower case without accents; letters that look alike in Unicode are the same."""
    alike = unicodedata.normalize("NFKC", text).upper().casefold()  # upper: `ı` is `i` without dot
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", alike))
    return unicodedata.normalize("NFC", bare).translate(_LETTERS)


def words(text: str) -> list[str]:
    """The words of a text, without marks and without the 's of a possessor.

    In scripts that put no blanks between words, its characters.
    """
    return scripts.words(plain(_POSSESSIVE.sub("", text)))


def telling(found: Sequence[str]) -> tuple[str, ...]:
    """Words without stop words; all of them where nothing else is there."""
    return tuple(word for word in found if word not in STOP_WORDS) or tuple(found)


def folded(word: str) -> str:
    """A word without the ending of a plural: the same for `city` and `cities`."""
    if len(word) < _FOLDED_FROM:
        return word
    stem = _ENDING.sub("", word)
    return stem[:-1] + "i" if stem.endswith("y") else stem


def find(phrase: Sequence[str], among: Sequence[str], start: int = 0) -> int | None:
    """Where the words of a phrase stand one after another, however they are cut: `Al-Kuwaiti`
    is `AlKuwaiti` and `1,200` is `1200`, but `1, 2` is not `12`. None where they don't."""
    wanted = ""
    for word in phrase:
        wanted = _joined(wanted, word)
    for first in range(start, len(among)):
        joined = ""
        for word in among[first:]:
            joined = _joined(joined, word)
            if joined == wanted:
                return first
            if not wanted.startswith(joined):
                break
    return None


def _joined(before: str, word: str) -> str:
    """Two words as one; numbers stay apart, unless the second is a group of a long number."""
    apart = before[-1:].isdigit() and word[:1].isdigit()
    goes_on = len(word) >= _GROUP and word.isdigit()
    return f"{before} {word}" if apart and not goes_on else before + word


def _singular(ending: str, instead: str, word: str) -> str:
    """A word with this ending of a plural in the singular; others as they are."""
    found = word.endswith(ending) and len(word) > len(ending) + 1
    return word.removesuffix(ending) + instead if found else word


_FOLDS: Sequence[Callable[[str], str]] = (
    str, folded, *(partial(_singular, *each) for each in _PLURALS)
)  # fmt: skip


def leaks(prompt: str, answers: Iterable[str]) -> bool:
    """Whether a prompt holds an answer: but for case, accents, marks, stop words and plurals."""
    said = words(prompt)
    few = telling(said)
    return any(
        _alike(wanted, said, fold) or _alike(telling(wanted), few, fold)
        for wanted in map(words, answers)
        if wanted
        for fold in _FOLDS
    )


def _alike(phrase: Sequence[str], among: Sequence[str], fold: Callable[[str], str]) -> bool:
    return find([fold(word) for word in phrase], [fold(word) for word in among]) is not None
