"""What a model wrote beside what it should have written, and by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bequest.build import scripts
from bequest.build.stemming import stem

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEMMED_FROM = 4  # characters; shorter words stay as they are
_REPEATED = 4  # words
_STEMMED = re.compile("[a-z0-9]+")
_MARKS = " .,;:!?…。、・·؟،؛۔।॥։።"  # that may end a sentence


def same(expected: str, said: str) -> bool:
    """Whether two texts agree but for case, blanks, the marks at their end and forms of characters.

    Full-width letters are the same as others, and `é` is the same in one character or two (NFKC).
    """
    return _plain(expected) == _plain(said)


def holds(expected: str, said: str) -> bool:
    """Whether what was said holds what was expected, but for case, blanks and forms of letters."""
    return _plain(expected) in _plain(said)


def rouge_l(expected: str, said: str, *, as_released: bool = False) -> tuple[float, float]:
    """ROUGE-L recall and F1, with the words that `words` gives.

    The words that both have in common in the same order, as a share of those expected, and of both
    (Lin 2004, ROUGE: a package for automatic evaluation of summaries). Where either text has no
    word, as one of emoji, both are 1 for texts that are the `same`, and 0 otherwise.

    as_released: as the `rouge-score` package, which sees no letters but a to z: 0 where either text
        has none.
    """
    wanted, given = (words(text, as_released=as_released) for text in (expected, said))
    if not as_released and not (wanted and given):
        equal = float(bool(expected.strip()) and same(expected, said))
        return equal, equal
    common = longest_common(wanted, given)
    if not common:
        return 0.0, 0.0
    return common / len(wanted), 2 * common / (len(wanted) + len(given))


def words(text: str, *, as_released: bool = False) -> list[str]:
    """The words of a text in any script, in lower case; those of plain Latin letters are stemmed.

    Scripts that put no blanks between words are cut into characters; see `scripts.words`.

    as_released: as the `rouge-score` package, runs of the letters a to z and digits.
    """
    found = _STEMMED.findall(text.lower()) if as_released else scripts.words(scripts.alike(text))
    return [_stemmed(word) for word in found]


def _stemmed(word: str) -> str:
    return stem(word) if len(word) >= _STEMMED_FROM and _STEMMED.fullmatch(word) else word


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
    """Share of runs of four words that stood before in the text; 0 where it is too short.

    In scripts that put no blanks between words, of four characters.
    """
    said = scripts.pieces(text)
    runs = [tuple(said[at : at + _REPEATED]) for at in range(len(said) - _REPEATED + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _plain(text: str) -> str:
    told = " ".join(scripts.alike(text).split())
    return told.rstrip(_MARKS) or told
