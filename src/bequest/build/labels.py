"""Labels as people write them: one spelling for each, and columns that hold no labels at all."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from bequest.build.classification import label_space
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

_WHOLE = re.compile(r"[+-]?[0-9]+(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_FEW = 20  # labels; so many may all occur once in a small table
_MOST_FRACTIONS = 50  # more different numbers with fractions are no classes, however often each is


def one_spelling(words: Collection[str], where: str) -> dict[str, str]:
    """The name of each label or group: the word itself, but `1` for `1.0` among whole numbers.

    where: what holds them, for people, such as "column `kind`".

    Raises:
        RequestError: one number is written in two ways that mean nothing alike, as `1` and `01`.
    """
    whole = all(map(_WHOLE.fullmatch, words))
    names = {word: word.partition(".")[0] if whole else word for word in words}
    spelled: dict[float, str] = {}
    for name in sorted(set(names.values())):
        if not _NUMBER.fullmatch(name):
            continue
        other = spelled.setdefault(float(name), name)
        if other != name and _same(other, name):
            what = f"{where} has `{other}` and `{name}`, which are one number"
            raise RequestError(Problem(what, "write each in one way"))
    return names


def label_targets(
    words: Sequence[str], codes: NDArray[np.int64], where: str, field: str = "label"
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The label space, and the place in it of each sample's label.

    words: different labels; codes: the position in `words` of each sample's; where: what holds the
    labels, for people, such as "column `kind`"; field: the setting that names it.

    Raises:
        RequestError: there are fewer than two labels, or they are ids or numbers.
    """
    names = one_spelling(words, where)
    _refuse_numbers(Counter(names[words[code]] for code in codes.tolist()), where, field)
    space = label_space(names[words[code]] for code in np.unique(codes).tolist())
    position = {label: index for index, label in enumerate(space)}
    return space, np.array([position[names[word]] for word in words], np.int64)[codes]


def _same(one: str, other: str) -> bool:
    """Whether two numbers are the same to the last digit, also where floats end."""
    if _WHOLE.fullmatch(one) and _WHOLE.fullmatch(other):
        return _digits(one) == _digits(other)
    return True


def _digits(whole: str) -> str:
    """A whole number without what says nothing: a plus sign, zeros before it and behind a point."""
    return re.sub(r"^[+]?(-?)0*", r"\1", whole.partition(".")[0])


def _refuse_numbers(counts: Counter[str], where: str, field: str) -> None:
    once = sum(count == 1 for count in counts.values())
    fractions = all(map(_NUMBER.fullmatch, counts)) and not all(map(_WHOLE.fullmatch, counts))
    many = len(counts) > _FEW and once > len(counts) / 2
    if not many and not (fractions and len(counts) > _MOST_FRACTIONS):
        return
    what = f"{where} has {len(counts)} different values in {counts.total()} rows"
    what += f", {once} of them once" if once else ""
    fix = "name what holds the classes; for numbers, `use: regression` with `target:`"
    raise RequestError(Problem(f"{what}: ids or numbers can't be classes", fix, (field,)))
