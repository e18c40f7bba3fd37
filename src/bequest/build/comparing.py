"""What a model wrote beside what it should have written, and by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bequest.build.stemming import stem

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEMMED_FROM = 4  # characters; shorter words stay as they are
_REPEATED = 4  # words


def same(expected: str, said: str) -> bool:
    """Whether two texts agree but for case, blanks and the marks at their end."""
    return _plain(expected) == _plain(said)


def holds(expected: str, said: str) -> bool:
    """Whether what was said holds what was expected, but for case and blanks."""
    return _plain(expected) in _plain(said)


def rouge_l(expected: str, said: str) -> tuple[float, float]:
    """ROUGE-L recall and F1, with stemmed words; 0 where either text has no word.

    The words that both have in common in the same order, as a share of those expected, and of both
    (Lin 2004, ROUGE: a package for automatic evaluation of summaries).
    """
    wanted, given = words(expected), words(said)
    common = longest_common(wanted, given)
    if not common:
        return 0.0, 0.0
    return common / len(wanted), 2 * common / (len(wanted) + len(given))


def words(text: str) -> list[str]:
    """The stemmed words of a text: runs of letters and digits without accents, in lower case."""
    found = re.findall("[a-z0-9]+", text.lower())
    return [stem(word) if len(word) >= _STEMMED_FROM else word for word in found]


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    A bit stands for each word of `other` (Hyyrö 2004, Bit-parallel LCS-length computation
    revisited), so that two texts of a page take no longer than two sentences.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(other):
        places[word] = places.get(word, 0) | 1 << place
    everywhere = left = (1 << len(other)) - 1
    for word in one:
        here = left & places.get(word, 0)
        left = (left + here) | (left - here)
    return len(other) - (left & everywhere).bit_count()


def repetition(text: str) -> float:
    """Share of runs of four words that stood before in the text; 0 where it is too short."""
    said = text.split()
    runs = [tuple(said[at : at + _REPEATED]) for at in range(len(said) - _REPEATED + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(" .,;:!?…。")
