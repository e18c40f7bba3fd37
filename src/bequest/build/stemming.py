"""Words cut down to their stems, as the ROUGE score compares them.

Porter (1980), An algorithm for suffix stripping, with the departures of NLTK's version, which the
public ROUGE packages use.
"""

from __future__ import annotations

import re
from functools import lru_cache

_IRREGULAR = {
    "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "innings": "inning",
    "outings": "outing", "cannings": "canning",
} | {
    word: word
    for word in ("sky", "news", "inning", "outing", "canning", "howe", "proceed", "exceed",
                 "succeed")
}  # fmt: skip
_PLURALS = {"sses": "ss", "ies": "i", "ss": "ss", "s": ""}
# Of several endings that fit, the first in the list counts, even where its condition fails.
_SECOND = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize",
    "bli": "ble", "alli": "al", "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize",
    "ation": "ate", "ator": "ate", "alism": "al", "iveness": "ive", "fulness": "ful",
    "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble", "fulli": "ful",
}  # fmt: skip
_THIRD = {
    "icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": "",
}  # fmt: skip
_FOURTH = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
)  # fmt: skip


@lru_cache(1 << 16)
def stem(word: str) -> str:
    """The stem of a word of lower-case letters and digits."""
    if len(word) <= 2 or word in _IRREGULAR:
        return _IRREGULAR.get(word, word)
    found = _without_y(_without_tense(_without_plural(word)))
    for step in (_second, _third, _fourth, _without_e):
        found = step(found)
    return found


def _shape(word: str) -> str:
    """`c` for every consonant and `v` for every vowel; `y` is one after a consonant."""
    found = ""
    for letter in word:
        vowel = letter in "aeiou" or (letter == "y" and found.endswith("c"))
        found += "v" if vowel else "c"
    return found


def _measure(word: str) -> int:
    """How often consonants follow vowels."""
    return _shape(word).count("vc")


def _is_short(word: str) -> bool:
    """Whether it ends consonant, vowel, consonant, the last not w, x or y; or is such as `at`."""
    shape = _shape(word)
    return (shape.endswith("cvc") and word[-1] not in "wxy") or shape == "vc"


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) == 4:
        return word[:-1]
    return _exchanged(word, _PLURALS, least=-1)


def _without_tense(word: str) -> str:
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    ending = re.search("(ed|ing)$", word)
    if not ending or "v" not in _shape(word[: ending.start()]):
        return word
    left = word[: ending.start()]
    if left.endswith(("at", "bl", "iz")):
        return left + "e"
    if len(left) > 1 and left[-1] == left[-2] and _shape(left)[-1] == "c":
        return left if left[-1] in "lsz" else left[:-1]
    return left + "e" if _measure(left) == 1 and _is_short(left) else left


def _without_y(word: str) -> str:
    left = word[:-1]
    ends = word.endswith("y") and len(left) > 1 and _shape(left)[-1] == "c"
    return left + "i" if ends else word


def _second(word: str) -> str:
    if word.endswith("alli") and _measure(word[:-4]) > 0:
        return _second(word[:-2])
    if word.endswith("logi"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    return _exchanged(word, _SECOND)


def _third(word: str) -> str:
    return _exchanged(word, _THIRD)


def _fourth(word: str) -> str:
    ending = next((each for each in _FOURTH if word.endswith(each)), "")
    left = word.removesuffix(ending)
    fits = _measure(left) > 1 and (ending != "ion" or left[-1] in "st")
    return left if ending and fits else word


def _without_e(word: str) -> str:
    left = word[:-1]
    if word.endswith("e") and (_measure(left) > 1 or (_measure(left) == 1 and not _is_short(left))):
        word = left
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word


def _exchanged(word: str, endings: dict[str, str], least: int = 0) -> str:
    """The word with its ending exchanged, if more than `least` is left before it."""
    ending = next((each for each in endings if word.endswith(each)), "")
    left = word.removesuffix(ending)
    return left + endings[ending] if ending and _measure(left) > least else word
