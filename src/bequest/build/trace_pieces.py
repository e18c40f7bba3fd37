"""Pieces of students' answers put together: parts that follow each other, windows that overlap."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray


_FEWEST = 3  # entries; fewer may be alike by chance


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
    _line: Student | None = None
    _lines: int = 0
    _overlaps: list[Student] = field(default_factory=list)

    def add(self, name: str, piece: Piece) -> None:
        """Put a piece behind what is there of its student.

        Raises:
            RequestError: what it repeats is not what came before, or its answers are older.
        """
        before = self.found.get(name)
        self._compare(piece)
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

    def refuse_windows(self) -> None:
        """Refuse a file most of whose lines repeat what the line before says, without masks.

        Such windows would be read as if they followed each other, or as students of their own, and
        answers would be asked that were told before.

        Raises:
            RequestError: says where the first one is.
        """
        if 2 * len(self._overlaps) <= self._lines:
            return
        what = (
            f"`{self._overlaps[0].place}` begins with answers that end the line before, as "
            f"{len(self._overlaps)} of {self._lines} lines do: windows that overlap"
        )
        fix = "give them with `uid` and `selectmasks`, or the plain file, `test_sequences.csv`"
        raise RequestError(Problem(what, fix))

    def _compare(self, piece: Piece) -> None:
        before, self._line = self._line, piece.student
        self._lines += 1
        of_one = before is not None and before.uid == piece.student.uid
        if before and of_one and not piece.told and _overlap(before, piece.student):
            self._overlaps.append(piece.student)

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


def _overlap(before: Student, after: Student) -> bool:
    """Whether one begins with half of itself or more that ends the other, and is no repeat of it.

    Answers that are all alike say nothing.
    """
    one, other = _entries(before), _entries(after)
    return any(
        one[-size:] == other[:size] and len(set(other[:size])) > 1 for size in _sizes(one, other)
    )


def _sizes(one: list[tuple[str, int]], other: list[tuple[str, int]]) -> Iterator[int]:
    """How many entries of both may be the same, by the first of them."""
    least = max(_FEWEST, (len(other) + 1) // 2)
    for size in range(min(len(one), len(other) - 1), least - 1, -1):
        if one[-size] == other[0]:
            yield size


def _entries(one: Student) -> list[tuple[str, int]]:
    return list(zip(one.concepts, one.right, strict=True))


def _unknown_window(piece: Piece, why: str) -> RequestError:
    what = (
        f"`{piece.student.place}`: `selectmasks` is -1 at {piece.told} answers that are no "
        f"padding, but {why}"
    )
    fix = "give whole windows in their order with `uid`, or the plain file, `test_sequences.csv`"
    return RequestError(Problem(what, fix))
