"""Pieces of students' answers put together: parts that follow each other, windows that overlap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Student:
    """What one student answered, in order; an entry is an answer on one concept.

    place: `file:line`, or how the student was made.
    right: 0 or 1; question: rises from answer to answer, equal for the concepts of one question.
    known: the probability of a right answer, where it is known, float [entries].
    uid: who it is, where the file says so.
    """

    place: str
    concepts: list[str]
    right: list[int]
    question: list[int]
    known: NDArray[np.float64] | None = None
    uid: str = ""

    @property
    def answers(self) -> int:
        """How many questions were answered."""
        return len(set(self.question))


@dataclass(frozen=True)
class Piece:
    """One line of a file: a run of a student's answers.

    told: its first entries that stand there again, as what came before the others of a window.
    goes_on: whether its first entry belongs to the last question of the piece before.
    times: when each answer was given, empty where the file doesn't say.
    """

    student: Student
    told: int = 0
    goes_on: bool = False
    times: Sequence[int] = ()


@dataclass
class Pieces:
    """The students of a file as its lines come in.

    repeated: entries of windows that had been told before; joined: lines that went on with a
    student of an earlier one.
    """

    found: dict[str, Student] = field(default_factory=dict)
    repeated: int = 0
    joined: int = 0
    _last: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, piece: Piece) -> None:
        """Put a piece behind what is there of its student.

        Raises:
            RequestError: what it repeats is not what came before, or its answers are older.
        """
        before = self.found.get(name)
        self._refuse_older(name, piece)
        if before is None:
            if piece.told:
                raise _unknown_window(piece, "nothing of this student stands before")
            self.found[name] = piece.student
            return
        self.joined += 1
        self.repeated += piece.told
        self.found[name] = _behind(before, piece)

    def notes(self, path: str) -> list[str]:
        """What a user should know of how the lines were put together."""
        told = []
        if self.joined:
            lines = len(self.found) + self.joined
            told.append(
                f"`{path}`: {lines} lines were joined by `uid` to {len(self.found)} students"
            )
        if self.repeated:
            told.append(f"`{path}`: {self.repeated} answers that windows repeat (`selectmasks` -1) "
                        "were read once")  # fmt: skip
        return told

    def _refuse_older(self, name: str, piece: Piece) -> None:
        new = piece.times[piece.told :]
        if not new:
            return
        run = [self._last.get(name, new[0]), *new]
        if any(one > other for one, other in pairwise(run)):
            what = f"`{piece.student.place}`: `timestamps` must not fall within a student"
            raise RequestError(Problem(what, "sort the answers of each student by time"))
        self._last[name] = new[-1]


def _behind(before: Student, piece: Piece) -> Student:
    """A student's answers with those of a piece that were not told before."""
    one, told = piece.student, piece.told
    if told and _entries(before)[-told:] != _entries(one)[:told]:
        raise _unknown_window(piece, "they differ from the answers before")
    start = before.question[-1] + 1
    if told:
        start = before.question[-1] - one.question[told - 1]
    elif piece.goes_on:
        start -= 1
    return replace(
        before,
        concepts=before.concepts + one.concepts[told:],
        right=before.right + one.right[told:],
        question=before.question + [start + number for number in one.question[told:]],
    )


def _entries(one: Student) -> list[tuple[str, int]]:
    return list(zip(one.concepts, one.right, strict=True))


def _unknown_window(piece: Piece, why: str) -> RequestError:
    what = (
        f"`{piece.student.place}`: `selectmasks` is -1 at {piece.told} answers that are no "
        f"padding, but {why}"
    )
    fix = "give whole windows in their order with `uid`, or the plain file, `test_sequences.csv`"
    return RequestError(Problem(what, fix))
