"""Words of texts in any script, by what Unicode says of each character."""

from __future__ import annotations

import re
import unicodedata
from itertools import chain

# Scripts that put no blanks between words: Han and its radicals, kana, Thai, Lao, Burmese, Khmer.
# Marks of these scripts are within the ranges of letters and follow the letter that they belong to.
_RANGES = (
    "\u0e00-\u0e4f\u0e5a-\u0eff\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff"
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3041-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001aff0-\U0001afff\U0001b000-\U0001b16f"
    "\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{_RANGES}]")
_INVISIBLE = "Cf"  # joiners and soft hyphens, which stand within words


def alike(text: str) -> str:
    """A text as it is compared: without case, and of characters that mean the same, one (NFKC)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def words(text: str) -> list[str]:
    """Runs of letters, digits and their marks; every letter by itself in scripts without blanks.

    Nothing else is a word: no punctuation, symbol or emoji.
    """
    if text.isascii():
        return re.findall("[A-Za-z0-9]+", text)
    found: list[str] = []
    goes_on = may_have_marks = False
    for character in text:
        kind = unicodedata.category(character)
        if kind[0] == "M" and may_have_marks:
            found[-1] += character
        elif kind[0] in "LN":
            alone = bool(_UNSPACED.match(character))
            if goes_on and not alone:
                found[-1] += character
            else:
                found.append(character)
            goes_on, may_have_marks = not alone, True
        elif kind != _INVISIBLE:
            goes_on = may_have_marks = False
    return found


def pieces(text: str) -> list[str]:
    """What stands between blanks, with its punctuation; single characters of scripts without."""
    return list(chain.from_iterable(map(_characters, text.split())))


def _characters(part: str) -> list[str]:
    if part.isascii() or not _UNSPACED.search(part):
        return [part]
    return _UNSPACED.sub(r" \g<0> ", part).split()
