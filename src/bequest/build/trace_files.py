"""Students' answers in files: three lines a student, or CSV with pyKT's columns."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple

from bequest.build.documents import LARGEST
from bequest.build.paths import located
from bequest.build.trace_pieces import Piece, Pieces, Student
from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_NEEDED = ("concepts", "responses")
_BESIDE = ("is_repeat", "selectmasks", "timestamps")
_PADDING = "-1"


class Answers(NamedTuple):
    """What a file holds, and what a user should know of how it was read."""

    students: list[Student]
    notes: list[str]


def students(path: str) -> Answers:
    """All students of a file, whose first line tells its form; windows of pyKT are read once.

    Raises:
        RequestError: the file, or a line of it, can't be used.
    """
    place = located(path)
    try:
        if place.stat().st_size > LARGEST:
            raise RequestError(Problem(f"`{path}` is over 1 GiB", "divide it into smaller files"))
        with place.open(encoding="utf-8-sig", newline="") as file:
            has_header = any(sign.isalpha() for sign in file.readline(1 << 16))
        found = _table(place, path) if has_header else Answers([*_three_lines(place, path)], [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(Problem(f"`{path}` can't be read: {error}")) from error
    if not found.students:
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


def _table(file: Path, path: str) -> Answers:
    """A student, or a piece of one, in each line; pieces with the same `uid` are joined."""
    pieces = Pieces()
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened, strict=True)
        _refuse_columns(reader.fieldnames or (), path)
        for number, fields in enumerate(reader):
            place, uid = f"{path}:{reader.line_num}", (fields.get("uid") or "").strip()
            if None in fields:
                what = f"`{place}` has more values than the header has names"
                raise RequestError(Problem(what, 'put lists into quotation marks: "1,2,3"'))
            piece = _piece({k: v for k, v in fields.items() if v is not None}, place, uid)
            pieces.add(uid or f"line {number}", piece)
    pieces.refuse_windows()
    return Answers(list(pieces.found.values()), pieces.notes(path))


def _refuse_columns(columns: Sequence[str], path: str) -> None:
    for name in _NEEDED:
        if name not in columns:
            there = f"there are {', '.join(map(str, columns))}"
            meant = did_you_mean(name, columns)
            raise RequestError(Problem(f"`{path}:1` has no column `{name}`", there, meant=meant))


def _piece(fields: dict[str, str], place: str, uid: str) -> Piece:
    """The answers of a line without the padding behind them.

    `selectmasks` is 1 where an answer counts in this line, and -1 where it counts in another one
    and stands here as what came before.
    """
    listed = {name: _listed(fields.get(name, "")) for name in (*_NEEDED, *_BESIDE)}
    concepts = listed["concepts"]
    for name in _BESIDE:
        if name == "timestamps" and "NA" in listed[name]:  # what pyKT writes where none are known
            listed[name] = []
        if listed[name] and len(listed[name]) != len(concepts):
            what = (
                f"`{place}`: {len(concepts)} concepts, but {len(listed[name])} values in `{name}`"
            )
            raise RequestError(Problem(what, "they must have the same length"))
    if len(concepts) != len(listed["responses"]):
        raise _other_number(place, concepts, listed["responses"])
    end = concepts.index(_PADDING) if _PADDING in concepts else len(concepts)
    if set(concepts[end:]) - {_PADDING}:
        raise RequestError(Problem(f"`{place}`: padding (-1) stands between answers"))
    if set(listed["selectmasks"][end:]) - {_PADDING}:
        raise RequestError(
            Problem(f"`{place}`: `selectmasks` must be -1 where padding (-1) stands")
        )
    own = {name: values[:end] for name, values in listed.items()}
    repeats = _repeats(own["is_repeat"], place)
    told = _told(own["selectmasks"], place)
    student = _student(place, own["concepts"], own["responses"], repeats, uid)
    entries = sum(len(named.split("_")) for named in own["concepts"][:told])
    return Piece(student, entries, repeats[:1] == [True], _times(own["timestamps"], place))


def _repeats(values: Sequence[str], place: str) -> list[bool]:
    if odd := next((one for one in values if one not in ("0", "1")), None):
        what = f"`{place}`: `is_repeat` must be 0 or 1, but is `{odd[:40]}`"
        raise RequestError(Problem(what, "1 marks a further concept of the question before"))
    return [value == "1" for value in values]


def _told(masks: Sequence[str], place: str) -> int:
    """How many of the first entries count in another line."""
    if odd := next((one for one in masks if one not in ("1", _PADDING)), None):
        raise RequestError(
            Problem(f"`{place}`: `selectmasks` must be 1 or -1, but is `{odd[:40]}`")
        )
    told = masks.index("1") if "1" in masks else len(masks)
    if _PADDING in masks[told:]:
        what = f"`{place}`: `selectmasks` is -1 behind an answer that counts"
        raise RequestError(
            Problem(what, "only the first answers of a window may have counted before")
        )
    return told


def _times(values: Sequence[str], place: str) -> list[int]:
    try:
        return [int(value) for value in values]
    except ValueError:
        what = f"`{place}`: `timestamps` must be whole numbers"
        raise RequestError(Problem(what, "write NA, or leave the column out")) from None


def _other_number(place: str, concepts: Sequence[str], right: Sequence[str]) -> RequestError:
    what = f"`{place}`: {len(concepts)} concepts, but {len(right)} answers"
    return RequestError(Problem(what, "every answer needs its concept"))


def _student(
    place: str,
    concepts: Sequence[str],
    right: Sequence[str],
    repeats: Sequence[bool] = (),
    uid: str = "",
) -> Student:
    """`repeats`: whether an entry belongs to the same question as the one before it.

    An entry may have several concepts, joined by `_`.
    """
    if len(concepts) != len(right):
        raise _other_number(place, concepts, right)
    if odd := next((one for one in right if one not in ("0", "1")), None):
        raise RequestError(Problem(f"`{place}`: an answer is `{odd[:40]}`", "it must be 0 or 1"))
    found = Student(place, [], [], [], uid=uid)
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
