"""Phrases as words that can be compared, whatever their case, accents and marks."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What may be missing in the middle of a name, or be put before it.
_STOP = (
    "a an the and or of in on at to for from by with as is are was were be been it its his her "
    "their this that these those"
)
STOP_WORDS = frozenset(_STOP.split())
_POSSESSIVE = re.compile(r"['’]s\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
_ENDING = re.compile(r"(es|(?<!s)s|e)$")  # of plurals in -s and -es, and what they leave
_FOLDED_FROM = 4  # characters; shorter words stay as they are


def plain(text: str) -> str:
    """Lower case without accents; letters that look alike in Unicode are the same."""
    alike = unicodedata.normalize("NFKC", text).upper().casefold()  # upper: `ı` is `i` without dot
    apart = unicodedata.normalize("NFKD", alike)
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def words(text: str) -> list[str]:
    """The words of a text, without marks and without the 's of a possessor."""
    return _WORD.findall(plain(_POSSESSIVE.sub("", text)))


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
    is `AlKuwaiti`. None where they don't."""
    wanted = "".join(phrase)
    for first in range(start, len(among)):
        joined = ""
        for word in among[first:]:
            joined += word
            if joined == wanted:
                return first
            if not wanted.startswith(joined):
                break
    return None


def leaks(prompt: str, answers: Iterable[str]) -> bool:
    """Whether a prompt holds an answer: but for case, accents, marks, stop words and plurals."""
    said = [folded(word) for word in words(prompt)]
    few = telling(words(prompt))
    told = [folded(word) for word in few]
    for answer in answers:
        wanted = words(answer)
        if not wanted:
            continue
        whole = [folded(word) for word in wanted]
        short = [folded(word) for word in telling(wanted)]
        if find(whole, said) is not None or find(short, told) is not None:
            return True
        if find(wanted, words(prompt)) is not None or find(telling(wanted), few) is not None:
            return True
    return False
