"""Knowledge tracing as a live task: what will a student answer next?"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from bequest.build.classification import fingerprint, natural
from bequest.build.splitting import FIELD_SIDES, Pool, content_ids, divide
from bequest.build.trace_files import students
from bequest.build.trace_generated import generated
from bequest.build.trace_histories import Histories
from bequest.build.trace_mastery import mastery, portraits
from bequest.build.trace_pieces import Student
from bequest.build.tracer import KIND, log_odds
from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.core.live import Split
from bequest.core.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.tasks.trace import Trace
    from bequest.build.trace_mastery import Portrait
    from bequest.core.live import Model, Purpose, SplitName


@dataclass(eq=False)
class Tracing:
    """A live task that asks for a student's next answers; see `core.live.Task`.

    labels: the concepts; shape: entries of the longest history.
    known: probability that each test entry is right, where students were invented.
    """

    name: str
    purpose: Purpose
    labels: tuple[str, ...]
    shape: tuple[int, ...]
    splits: Mapping[SplitName, Split]
    fingerprint: str
    known: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()
    asks: str = "trace"
    kind: str = KIND

    @property
    def tested(self) -> Histories:
        """The histories of the test side."""
        return cast("Histories", self.splits["test"].inputs)

    @cached_property
    def portraits(self) -> tuple[Portrait, ...]:
        """The few test students whose mastery is shown."""
        return portraits(self.tested, self.splits["test"].ids, self.known)

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """What `model` expects of every test answer but each student's first; a unit is a student.

        Columns: `log_odds` that the answer is right, `right` (0 or 1), `correct` (whether the
        likelier of both came), `nll` (nats), `confidence`, and `known`, the true probability,
        where students were invented. An answer on several concepts has the mean of their
        probabilities (late fusion). Batches are cut by length, so `batch_size` is not needed.
        """
        del batch_size
        asked = self._asked
        odds = _fused(log_odds(model, self.tested), asked.answer)
        right = asked.right
        columns = {
            "log_odds": odds.astype(np.float32),
            "right": right,
            "correct": ((odds > 0) == right).astype(np.uint8),
            "nll": np.logaddexp(0, np.where(right, -odds, odds)).astype(np.float32),
            "confidence": (1 / (1 + np.exp(-np.abs(odds)))).astype(np.float32),
        }
        if asked.known is not None:
            columns["known"] = asked.known.astype(np.float32)
        shown = {str(one.sample): mastery(model, one) for one in self.portraits}
        return Outcomes(asked.sample, columns, asked.unit, shown=shown)

    @cached_property
    def _asked(self) -> _Asked:
        return _asked(self.splits["test"], self.known)


@dataclass(frozen=True)
class _Asked:
    """The test answers that are predicted. answer: which of them each predicted entry belongs to.

    sample, unit, right, known: of each answer.
    """

    answer: NDArray[np.int64]
    sample: NDArray[np.int64]
    unit: NDArray[np.int64]
    right: NDArray[np.uint8]
    known: NDArray[np.float64] | None


def tracing(settings: Trace, name: str) -> Tracing:
    """The students that the settings name, on three sides.

    Raises:
        RequestError: a file or line can't be used, or too few students are there.
    """
    problems = settings.check()
    if problems:
        raise RequestError(problems)
    found, side, read = _found(settings)
    kept, notes = _long_enough(found, settings.shortest)
    found, side = [found[row] for row in kept], side[kept]
    names = tuple(sorted({one for student in found for one in student.concepts}, key=natural))
    ids = _ids(found, side)
    sides, more = divide(Pool(ids, np.zeros_like(ids), side), settings)
    cut = {
        each: [piece for row in rows.tolist() for piece in _pieces(found[row], ids[row], settings)]
        for each, rows in sides.items()
    }
    splits = {each: _split(pieces, names) for each, pieces in cut.items()}
    known = _known(cut["test"])
    return Tracing(
        name=name,
        purpose=settings.purpose,
        labels=names,
        shape=(settings.longest,),
        splits=splits,
        fingerprint=fingerprint(names, splits, {"kind": KIND, "longest": settings.longest}),
        known=known,
        notes=(*read, *notes, *more, *_untrained(splits, names)),
    )


def _found(settings: Trace) -> tuple[list[Student], NDArray[np.int8], list[str]]:
    """All students, the side that each one's file is of, and notes on the files."""
    if not settings.path:
        made = generated(settings.generated)
        return made, np.zeros(len(made), np.int8), []
    read, notes = {}, []
    for field, path in settings.files().items():
        try:
            read[field], told = students(path)
        except RequestError as error:
            raise RequestError([problem.under(field) for problem in error.problems]) from error
        notes += told
    _refuse_shared(read, settings)
    trained = {one for student in read["path"] for one in student.concepts}
    for field, path in settings.files().items():
        kept = [_of_known(student, trained, settings.unknown) for student in read[field]]
        left = _entries(read[field]) - _entries(kept)
        notes += [f"`{path}`: {left} answers on concepts that training never has were left out"
                  for _ in range(bool(left))]  # fmt: skip
        read[field] = kept
    sides = [np.full(len(found), FIELD_SIDES[field], np.int8) for field, found in read.items()]
    return [student for found in read.values() for student in found], np.concatenate(sides), notes


def _entries(found: Sequence[Student]) -> int:
    return sum(len(one.concepts) for one in found)


def _refuse_shared(read: Mapping[str, Sequence[Student]], settings: Trace) -> None:
    """Refuse a student who is in two files: answers of one side would tell those of another."""
    for field, other in itertools.combinations(read, 2):
        known = {one.uid for one in read[field] if one.uid}
        both = [one.uid for one in read[other] if one.uid in known]
        if both:
            few = ", ".join(f"`{uid}`" for uid in both[:5])
            what = (
                f"`{settings.files()[field]}` has {len(both)} students (`uid`) of this file: {few}"
            )
            fix = "give each student to one file, or leave `uid` out if each file counts its own"
            raise RequestError(Problem(what, fix, (other,)))


def _of_known(student: Student, trained: set[str], unknown: str) -> Student:
    odd = next((one for one in student.concepts if one not in trained), None)
    if odd is None:
        return student
    if unknown == "refuse":
        what = f"`{student.place}`: the training file never has the concept `{odd}`"
        fix = "write `unknown: drop` to leave such answers out"
        raise RequestError(Problem(what, fix, meant=did_you_mean(odd, trained)))
    rows = [row for row, one in enumerate(student.concepts) if one in trained]
    return Student(
        student.place,
        [student.concepts[row] for row in rows],
        [student.right[row] for row in rows],
        [student.question[row] for row in rows],
    )


def _long_enough(found: Sequence[Student], shortest: int) -> tuple[NDArray[np.int64], list[str]]:
    kept = np.array([row for row, one in enumerate(found) if one.answers >= shortest], np.int64)
    if not len(kept):
        what = f"`{found[0].place}`: no student has {shortest} answers; this one {found[0].answers}"
        raise RequestError(Problem(what, "an answer can only be predicted from earlier ones"))
    left = len(found) - len(kept)
    few = f"{left} of {len(found)} students with fewer than {shortest} answers were left out"
    return kept, [few] if left else []


class _Piece(NamedTuple):
    """A run of a student's entries. unit: the student's content id; number: of the piece."""

    student: Student
    rows: slice
    unit: int
    number: int


def _ids(found: Sequence[Student], side: NDArray[np.int8]) -> NDArray[np.int64]:
    """Content ids; students of one file who answered alike are told apart by a number."""
    times: Counter[str] = Counter()

    def contents() -> Iterator[bytes]:
        for one, number in zip(found, side.tolist(), strict=True):
            said = f"{','.join(one.concepts)};{one.right};{one.question}"
            times[f"{number} {said}"] += 1
            yield f"{said};{times[f'{number} {said}']}".encode()

    return content_ids(contents())


def _pieces(student: Student, unit: np.int64, settings: Trace) -> Iterator[_Piece]:
    """Runs of at most `longest` entries, between questions where that is possible.

    One that holds a single question is left out: nothing in it could be predicted.
    """
    question, start = student.question, 0
    for number in itertools.count():
        end = min(start + settings.longest, len(question))
        if start == end:
            return
        if end < len(question):
            between = (at for at in range(end, start, -1) if question[at] != question[at - 1])
            end = next(between, end)
        if question[start] != question[end - 1]:
            yield _Piece(student, slice(start, end), int(unit), number)
        start = end


def _split(pieces: Sequence[_Piece], names: tuple[str, ...]) -> Split:
    """Histories of these pieces; a unit is a student.

    Raises:
        RequestError: there are none.
    """
    if not pieces:
        what = "a side has no history of two questions"
        raise RequestError(Problem(what, "raise `longest`, or give more data", ("longest",)))
    number = {name: place for place, name in enumerate(names)}
    concepts = [number[one] for each in pieces for one in each.student.concepts[each.rows]]
    columns = (
        [one for each in pieces for one in each.student.right[each.rows]],
        [one for each in pieces for one in each.student.question[each.rows]],
    )
    lengths = [each.rows.stop - each.rows.start for each in pieces]
    arrays = (np.array(each, np.int64) for each in (lengths, concepts, *columns))
    ids = content_ids(f"{each.unit} {each.number}".encode() for each in pieces)
    unit = np.array([each.unit for each in pieces], np.int64)
    return Split(Histories(names, *arrays), None, ids, unit)


def _known(pieces: Sequence[_Piece]) -> NDArray[np.float64] | None:
    """The true probability of each entry, where all are known."""
    parts = [each.student.known[each.rows] for each in pieces if each.student.known is not None]
    return np.concatenate(parts) if len(parts) == len(pieces) else None


def _untrained(splits: Mapping[SplitName, Split], names: tuple[str, ...]) -> Iterator[str]:
    """What is asked elsewhere but never trained, by chance of the division."""
    trained = set(cast("Histories", splits["train"].inputs).concept.tolist())
    for side, split in splits.items():
        others = sorted(set(cast("Histories", split.inputs).concept.tolist()) - trained)
        if others:
            few = ", ".join(names[one] for one in others[:10])
            yield f"{len(others)} concepts of {side} never occur in training: {few}"


def _asked(test: Split, known: NDArray[np.float64] | None) -> _Asked:
    histories = cast("Histories", test.inputs)
    place = np.repeat(np.arange(len(histories)), histories.lengths)
    before = histories.before()
    rows = np.flatnonzero(before >= 0)
    asked = np.stack([place[rows], histories.question[rows]])
    new = (np.diff(asked, prepend=-1) != 0).any(axis=0)
    first = rows[new]
    numbers = zip(test.ids[place[first]].tolist(), before[first].tolist(), strict=True)
    return _Asked(
        answer=np.cumsum(new) - 1,
        sample=content_ids(f"{sample} {number}".encode() for sample, number in numbers),
        unit=cast("NDArray[np.int64]", test.unit)[place[first]],
        right=histories.right[first].astype(np.uint8),
        known=None if known is None else known[first],
    )


def _fused(odds: NDArray[np.float64], answer: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log-odds of the mean probability of the entries of each answer."""
    count = np.bincount(answer)
    if len(count) == len(odds):
        return odds
    mean = np.bincount(answer, 1 / (1 + np.exp(-odds))) / count
    mean = np.clip(mean, 1e-15, 1 - 1e-15)
    return cast("NDArray[np.float64]", np.log(mean) - np.log1p(-mean))
