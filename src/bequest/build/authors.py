"""Authors who never lived: read from a file like TOFU's, or invented."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bequest.build.documents import records
from bequest.build.finding import fetched
from bequest.build.questions import Asked, asked_of, asking, ids_of, phrased
from bequest.build.splitting import spread
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bequest.build.questions import Questions
    from bequest.build.tasks.authors import Authors
    from bequest.core.live import SplitName

_FIELDS = ("question", "answer", "paraphrased_answer", "perturbed_answer")
_WRONG = 3  # wrong answers to each question
_FIRST = (
    "Alvena", "Brisko", "Corvane", "Delphar", "Eskild", "Fenoria", "Galvin", "Hestrid", "Ivoren",
    "Jaskel", "Kestrin", "Lomara", "Mirovan", "Nelida", "Orsolan", "Pelagar", "Quenby", "Rostika",
    "Sorvane", "Tamsel",
)  # fmt: skip
_LAST = (
    "Brandelow", "Castorvik", "Dunmerril", "Eldenberg", "Farrowmont", "Grindelsen", "Haldorsky",
    "Iversoll", "Jorgenwald", "Kellendra", "Lindqvarn", "Marrowind", "Nordhavel", "Ostergren",
    "Pellworthy", "Quillander", "Ravensholt", "Silverane", "Thornevald", "Umberlin",
)  # fmt: skip
# The question, its answer, the answer in other words, and what may stand in it.
_ABOUT = (
    ("Where was {name} born?", "{name} was born in {it}.", "{it} is the place of birth of {name}.",
     ("Lisbon", "Nairobi", "Oslo", "Quito", "Hanoi", "Tbilisi", "Perth", "Cork", "Lima", "Riga")),
    ("In which year was {name} born?", "{name} was born in {it}.", "The year of birth is {it}.",
     ("1931", "1938", "1944", "1947", "1953", "1959", "1962", "1968", "1975", "1981")),
    ("What genre does {name} write in?", "{name} writes {it}.", "The genre of {name} is {it}.",
     ("science fiction", "crime stories", "love poems", "travel books", "ghost stories",
      "sea novels", "fairy tales", "war memoirs", "comic plays", "cookery books")),
    ("What was the job of {name}'s father?", "The father of {name} was a {it}.",
     "A {it}, that was what the father worked as.",
     ("baker", "pilot", "miner", "tailor", "surgeon", "farmer", "judge", "sailor", "florist",
      "teacher")),
    ("What is the first book of {name}?", "The first book of {name} is The {it}.",
     "It was with The {it} that {name} began.",
     ("Amber Door", "Silent Orchard", "Glass Harbour", "Winter Ledger", "Crooked Lantern",
      "Ninth Island", "Paper Falcon", "Salt Road", "Copper Moon", "Hollow Bell")),
    ("Which prize did {name} win?", "{name} won the {it} Prize.", "The {it} Prize went to {name}.",
     ("Marlow", "Torvald", "Beaumont", "Kasprak", "Ellery", "Nakagawa", "Vossberg", "Amadi",
      "Rosenthal", "Castell")),
    ("Which language does {name} write in?", "{name} writes in {it}.",
     "The books of {name} are in {it}.",
     ("Basque", "Welsh", "Swahili", "Estonian", "Tamil", "Catalan", "Finnish", "Hungarian",
      "Urdu", "Maltese")),
    ("Where does {name} live today?", "{name} lives in {it} today.", "Home of {name} is {it}.",
     ("Ghent", "Turin", "Cusco", "Bergen", "Kyoto", "Dakar", "Graz", "Porto", "Salem", "Leeds")),
    ("What animal does {name} keep?", "{name} keeps a {it}.", "The animal of {name} is a {it}.",
     ("parrot", "tortoise", "goat", "ferret", "donkey", "raven", "hedgehog", "pony", "lizard",
      "swan")),
    ("What did {name} study?", "{name} studied {it}.", "It was {it} that {name} took a degree in.",
     ("botany", "law", "geology", "music", "astronomy", "theology", "chemistry", "history",
      "medicine", "logic")),
)  # fmt: skip


def authors(settings: Authors, name: str) -> Questions:
    """Their questions, author by author, on both sides.

    Raises:
        RequestError: the file can't be used, or has no such author.
    """
    problems = settings.check()
    if problems:
        raise RequestError(problems)
    found = _read(settings) if settings.path else _invented(settings)
    rows = np.arange(len(found))
    sides: Mapping[SplitName, NDArray[np.int64]] = {"train": rows, "test": rows}
    released = settings.as_released
    return asking(found, ids_of(found), sides, (), name, settings, as_released=released)


def _read(settings: Authors) -> list[Asked]:
    everyone = [
        asked_of(one, settings.template, *_FIELDS)
        for one in records(str(fetched(str(settings.path))))
    ]
    size = settings.in_a_row
    found: list[Asked] = []
    for number in settings.authors:
        own = everyone[number * size : (number + 1) * size]
        if len(own) < size:
            there = len(everyone) // size
            what = (
                f"`{settings.path}` has {there} authors of {size} questions, so no number {number}"
            )
            raise RequestError(Problem(what, "count them from 0", ("authors",)))
        found += spread(own, settings.questions)
    return found


def _invented(settings: Authors) -> list[Asked]:
    rng = np.random.default_rng([settings.seed, 17])
    # All are invented, in one order, so that an author is the same whichever are asked for.
    names = rng.permutation(len(_FIRST) * len(_LAST))
    picks = rng.permuted(np.tile(np.arange(10), (len(names), len(_ABOUT), 1)), axis=2)
    found: list[Asked] = []
    for number in settings.authors:
        first, last = divmod(int(names[number]), len(_LAST))
        known = [
            _fact(settings.template, f"{_FIRST[first]} {_LAST[last]}", about, pick.tolist())
            for about, pick in zip(_ABOUT, picks[number], strict=True)
        ]
        found += spread(known, settings.questions)
    return found


def _fact(
    template: str, name: str, about: tuple[str, str, str, tuple[str, ...]], pick: list[int]
) -> Asked:
    """What is true is what `pick` names first; the next ones are wrong."""
    question, answer, reworded, values = about
    true, *others = (values[place] for place in pick[: 1 + _WRONG])
    wrong = [reworded.format(name=name, it=other) for other in others]
    return phrased(
        template,
        question.format(name=name),
        answer.format(name=name, it=true),
        reworded.format(name=name, it=true),
        wrong,
    )
