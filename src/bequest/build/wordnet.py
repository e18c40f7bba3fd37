"""WordNet's files: senses with their words, glosses and example sentences.

The format is that of wndb(5WN): a line a sense, the gloss behind `|`, examples in it in quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bequest.build.dictionary import words_of
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_QUOTED = re.compile(r'"([^"]+)"')


@dataclass(frozen=True)
class Sense:
    """One sense: `name` is its letter and place (`n00001740`), `words` are those that have it."""

    name: str
    words: tuple[str, ...]
    gloss: str
    examples: tuple[str, ...]


def senses(folder: Path, parts: tuple[str, ...] = tuple(PARTS)) -> Iterator[Sense]:
    """Every sense in the files `data.noun`, `data.verb` … of a folder, in their order.

    Raises:
        RequestError: a file is missing or is not WordNet's.
    """
    for part in parts:
        path = folder / f"data.{part}"
        try:
            with path.open(encoding="utf-8") as lines:
                yield from (_sense(line, PARTS[part]) for line in lines if line[0] != " ")
        except OSError as error:
            raise RequestError(Problem(f"{path} can't be read: {error.strerror}")) from error
        except (ValueError, IndexError) as error:
            raise RequestError(Problem(f"{path} is not a data file of WordNet")) from error


def _sense(line: str, letter: str) -> Sense:
    facts, _, told = line.partition("|")
    fields = facts.split()
    gloss = _QUOTED.split(told.strip(), maxsplit=1)[0].strip().rstrip(";").strip()
    examples = tuple(dict.fromkeys(each.strip() for each in _QUOTED.findall(told)))
    return Sense(letter + fields[0], tuple(words_of(fields)), gloss, examples)
