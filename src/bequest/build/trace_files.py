"""Students' answers in files: three lines a student, or CSV with pyKT's columns."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bequest.build.documents import LARGEST
from bequest.build.paths import located
from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_NEEDED = ("concepts", "responses")
_PADDING = "-1"


@dataclass(frozen=True)
class Student:
    """What one student answered, in order; an entry is an answer on one concept.

    place: `file:line`, or how the student was made.
    right: 0 or 1; question: rises from answer to answer, equal for the concepts of one question.
    known: the probability of a right answer, where it is known, float [entries].
    """

    place: str
    concepts: list[str]
    right: list[int]
    question: list[int]
    known: NDArray[np.float64] | None = None

    @property
    def answers(self) -> int:
        """How many questions were answered."""
        return len(set(self.question))


def students(path: str) -> list[Student]:
    """All students of a file, whose first line tells its form.

    Raises:
        RequestError: the file, or a line of it, can't be used.
    """
    place = located(path)
    try:
        if place.stat().st_size > LARGEST:
            raise RequestError(Problem(f"`{path}` is over 1 GiB", "divide it into smaller files"))
        with place.open(encoding="utf-8-sig", newline="") as file:
            has_header = any(sign.isalpha() for sign in file.readline(1 << 16))
        found = list(_table(place, path) if has_header else _three_lines(place, path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(Problem(f"`{path}` can't be read: {error}")) from error
    if not found:
        raise RequestError(Problem(f"`{path}` holds no students"))
    return found


def _three_lines(file: Path, path: str) -> Iterator[Student]:
    """How many answers, concepts, answers; lines may end in a comma."""
    with file.open(encoding="utf-8-sig") as opened:
        lines = [line.strip() for line in opened]
    while lines and not lines[-1]:
        lines.pop()
    for start in range(0, len(lines), 3):
        places = [f"{path}:{start + 1 + number}" for number in range(3)]
        if len(lines) < start + 3:
            what = f"`{places[0]}`: the last student has {len(lines) - start} of 3 lines"
            raise RequestError(Problem(what, "lines are: how many answers, concepts, 0 or 1"))
        count, concepts, right = (_listed(line) for line in lines[start : start + 3])
        _refuse_other_count(count, len(concepts), places[0])
        yield _student(places[2], concepts, right)


def _refuse_other_count(count: Sequence[str], concepts: int, place: str) -> None:
    if len(count) != 1 or not count[0].isdigit():
        what = f"`{place}`: expected how many answers follow, not `{','.join(count)[:40]}`"
        raise RequestError(Problem(what, "a student has three lines: number, concepts, answers"))
    if int(count[0]) != concepts:
        what = f"`{place}`: {count[0]} answers are announced, but {concepts} concepts follow"
        raise RequestError(Problem(what, "correct the number or the line below it"))


def _table(file: Path, path: str) -> Iterator[Student]:
    """A student, or a piece of one, in each line; pieces with the same `uid` are joined."""
    joined: dict[str, Student] = {}
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened)
        _refuse_columns(reader.fieldnames or (), path)
        for number, fields in enumerate(reader):
            place = f"{path}:{reader.line_num}"
            one = _of_fields({k: v for k, v in fields.items() if v is not None}, place)
            name = fields.get("uid") or f"line {number}"
            joined[name] = _after(joined[name], one) if name in joined else one
    yield from joined.values()


def _refuse_columns(columns: Sequence[str], path: str) -> None:
    for name in _NEEDED:
        if name not in columns:
            there = f"there are {', '.join(map(str, columns))}"
            meant = did_you_mean(name, columns)
            raise RequestError(Problem(f"`{path}:1` has no column `{name}`", there, meant=meant))


def _of_fields(fields: dict[str, str], place: str) -> Student:
    listed = {name: _listed(fields.get(name, "")) for name in (*_NEEDED, "is_repeat")}
    concepts, right, repeats = listed["concepts"], listed["responses"], listed["is_repeat"]
    if repeats and len(repeats) != len(concepts):
        what = f"`{place}`: {len(concepts)} concepts, but {len(repeats)} values in `is_repeat`"
        raise RequestError(Problem(what, "they must have the same length"))
    if _PADDING in concepts:  # pieces are padded at the end
        end = concepts.index(_PADDING)
        if set(concepts[end:]) != {_PADDING}:
            raise RequestError(Problem(f"`{place}`: padding (-1) stands between answers"))
        concepts, right, repeats = concepts[:end], right[:end], repeats[:end]
    return _student(place, concepts, right, [value == "1" for value in repeats])


def _after(one: Student, more: Student) -> Student:
    first = one.question[-1] + 1 if one.question else 0
    return Student(
        one.place,
        one.concepts + more.concepts,
        one.right + more.right,
        one.question + [first + number for number in more.question],
    )


def _student(
    place: str, concepts: Sequence[str], right: Sequence[str], repeats: Sequence[bool] = ()
) -> Student:
    """`repeats`: whether an entry belongs to the same question as the one before it.

    An entry may have several concepts, joined by `_`.
    """
    if len(concepts) != len(right):
        what = f"`{place}`: {len(concepts)} concepts, but {len(right)} answers"
        raise RequestError(Problem(what, "every answer needs its concept"))
    if odd := next((one for one in right if one not in ("0", "1")), None):
        raise RequestError(Problem(f"`{place}`: an answer is `{odd[:40]}`", "it must be 0 or 1"))
    found = Student(place, [], [], [])
    for number, (named, answer) in enumerate(zip(concepts, right, strict=True)):
        again = bool(repeats) and repeats[number] and bool(found.question)
        question = found.question[-1] + (not again) if found.question else 0
        for concept in named.split("_"):
            if not concept or concept == _PADDING:
                what = f"`{place}`: answer {number + 1} has no concept"
                raise RequestError(Problem(what, "leave such answers out"))
            found.concepts.append(concept)
            found.right.append(int(answer))
            found.question.append(question)
    return found


def _listed(line: str) -> list[str]:
    """Values between commas; one comma may follow the last."""
    line = line.strip().removesuffix(",")
    return [value.strip() for value in line.split(",")] if line else []
