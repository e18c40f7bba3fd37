"""The data files of WordNet as records, one a sense.

The format is that of wndb(5WN): a line a sense, the gloss behind `|`, examples in it in quotes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = frozenset({"data.noun", "data.verb", "data.adj", "data.adv"})
_QUOTED = re.compile(r'"([^"]+)"')
_PARENTS = ("@", "@i")  # a kind of, an instance of


class _Firsts:
    """First words of senses by their place: how many bytes of the file come before.

    So that the first senses of a file can be had without reading all of it.
    """

    def __init__(self, lines: BinaryIO) -> None:
        self._lines = lines

    def of(self, place: str) -> str:
        """Of the sense there; nothing where none begins."""
        if len(place) != 8 or not place.isdecimal():
            return ""
        self._lines.seek(int(place))
        parts = self._lines.readline().decode(errors="replace").split(maxsplit=5)
        return _plain(parts[4]) if len(parts) > 5 and parts[0] == place else ""


def senses(place: Path) -> Iterator[dict[str, str]]:
    """Every sense of a data file, in its order.

    word: its first word; words: all of them, with commas between; gloss: what it means, without
    examples; short: the gloss up to its first semicolon; example: a sentence with the word, or
    empty; kind: the first word of what it is a kind of, or empty; field: the lexicographers' file,
    such as `noun.animal`, where the file `lexnames` lies beside; half: `odd` or `even` by turns, to
    learn from one and be asked about the other.

    Raises:
        RequestError: it is not such a file.
    """
    try:
        fields = _fields(place.parent / "lexnames")
        with place.open("rb") as lines, place.open("rb") as again:
            known, entries = _Firsts(again), (line for line in lines if line[:1] != b" ")
            for number, line in enumerate(entries, 1):
                half = "odd" if number % 2 else "even"
                yield {**_sense(line.decode(), known, fields), "half": half}
    except OSError as error:
        raise RequestError(Problem(f"`{place}` can't be read: {error.strerror}")) from error
    except (ValueError, IndexError) as error:
        raise RequestError(Problem(f"`{place}` is not a data file of WordNet")) from error


def _sense(line: str, known: _Firsts, fields: dict[str, str]) -> dict[str, str]:
    facts, _, told = line.partition("|")
    parts = facts.split()
    words = words_of(parts)
    gloss = _QUOTED.split(told, maxsplit=1)[0].strip().rstrip(";:, ")
    examples = _QUOTED.findall(told)
    return {
        "word": words[0],
        "words": ", ".join(words),
        "gloss": gloss,
        "short": gloss.partition(";")[0].strip(),
        "example": examples[0].strip() if examples else "",
        "kind": next((known.of(parent) for parent in _parents(parts)), ""),
        "field": fields.get(parts[1], ""),
    }


def words_of(parts: list[str]) -> list[str]:
    """The words of a sense, from what stands in its line before the gloss."""
    count = int(parts[3], 16)  # each is followed by a number
    return [_plain(word) for word in parts[4 : 4 + 2 * count : 2]]


def _plain(word: str) -> str:
    return re.sub(r"\(\w+\)$", "", word).replace("_", " ")


def _parents(parts: list[str]) -> Iterator[str]:
    """Places of what a sense is a kind of; pointers are four fields each."""
    begin = 5 + 2 * int(parts[3], 16)
    for at in range(begin, begin + 4 * int(parts[begin - 1]), 4):
        if parts[at] in _PARENTS:
            yield parts[at + 1]


def _fields(place: Path) -> dict[str, str]:
    """Names of the lexicographers' files by their number; nothing where the list isn't there."""
    if not place.is_file():
        return {}
    lines = (line.split() for line in place.read_text(encoding="utf-8").splitlines())
    return {line[0]: line[1] for line in lines if len(line) > 1}
