"""Which rows learned one task after another, and where the scores around them stand.

Rows of one step, model and line that learned a task belong together, unless the line is one of
reference. Rows with a coordinate `checkpoint` are moments within the learning of the task that
comes next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bequest.core.errors import Problem, RequestError
from bequest.measure.grid import Place
from bequest.measure.rows import GIVEN, MAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bequest.measure.rows import Row

SINGLE, JOINT, GOLD = "single", "joint", "gold"
REFERENCES = (GIVEN, SINGLE, JOINT, GOLD)

Laid = tuple[list[Place], tuple[int, ...]]  # cells to read, and the shape they are laid out in


@dataclass(frozen=True)
class Learned:
    """One sequence of learned tasks among all `rows` of the matrix.

    own: indices of its rows, in the order of learning; moments: for each, indices of the rows
    within the learning of its task.
    """

    rows: Sequence[Row]
    own: tuple[int, ...]
    moments: tuple[tuple[int, ...], ...]

    @property
    def step(self) -> str:
        """The step that gave it."""
        return self.rows[self.own[0]].step

    @property
    def model(self) -> str:
        """The input model that learned."""
        return self.rows[self.own[0]].of

    @property
    def line(self) -> str:
        """The line of its rows."""
        return self.rows[self.own[0]].line

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks in the order in which they were learned."""
        return tuple(self.rows[row].learned or "" for row in self.own)

    @property
    def title(self) -> str:
        """What people call it."""
        line = "" if self.line == MAIN else f", line {self.line}"
        return f"{self.step} ({self.model}{line})"

    def __contains__(self, row: int) -> bool:
        return row in self.own or any(row in moments for moments in self.moments)

    def places(self, part: str) -> Laid:
        """The cells of `scores`, `given`, `single`, `joint`, `curves` or `within`.

        Raises:
            RequestError: the sequence has no such cells.
        """
        laid: dict[str, Callable[[], Laid]] = {
            "scores": self._scores,
            GIVEN: self._given,
            SINGLE: self._single,
            JOINT: self._joint,
            "curves": self._curves,
            "within": self._within,
        }
        return laid[part]()

    def marks(self) -> tuple[float, ...]:
        """The checkpoints within each task, rising and the same for all.

        Raises:
            RequestError: they are not, or there are none.
        """
        marks = [tuple(self.rows[i].checkpoint for i in moments) for moments in self.moments]
        if not marks[0]:
            fix = "the method must yield stages with `at: {checkpoint: …}` while it learns a task"
            raise RequestError(Problem(f"{self.title} was not measured within tasks", fix))
        rising = tuple(sorted({mark for mark in marks[0] if mark is not None}))
        if any(each != rising for each in marks):
            what = f"{self.title} was not measured at the same rising checkpoints in all tasks"
            raise RequestError(what)
        return rising

    def _scores(self) -> Laid:
        places = [Place(task, row) for row in self.own for task in self.tasks]
        return places, (len(self.own), len(self.tasks))

    def _given(self) -> Laid:
        rows = enumerate(self.rows)
        found = [i for i, row in rows if row.line == GIVEN and row.name == self.model]
        why = f"the model {self.model} was not measured before anything was learned"
        return [_only(task, found, why) for task in self.tasks], (len(self.tasks),)

    def _single(self) -> Laid:
        reference = self._reference(SINGLE)
        places = []
        for task in self.tasks:
            found = [i for i, row in reference if row.learned == task]
            places.append(_only(task, found, f"no row of line `{SINGLE}` learned {task}"))
        return places, (len(self.tasks),)

    def _joint(self) -> Laid:
        reference = self._reference(JOINT)
        whole = list({row.step: i for i, row in reference if row.learned is None}.values())
        places = []
        for task in self.tasks:
            found = [i for i, row in reference if row.learned == task]
            if task == self.tasks[-1]:
                found = found or whole
            why = f"no row of line `{JOINT}` learned the tasks up to {task} together"
            places.append(_only(task, found, why))
        return places, (len(self.tasks),)

    def _curves(self) -> Laid:
        marks = self.marks()
        pairs = zip(self.tasks, self.moments, strict=True)
        places = [Place(task, row) for task, moments in pairs for row in moments]
        return places, (len(self.tasks), len(marks))

    def _within(self) -> Laid:
        # at checkpoint 0 the model still is that of the row before
        later = [i for i, mark in enumerate(self.marks()) if mark > 0]
        places = [
            Place(task, moments[i])
            for moments in self.moments
            for task in self.tasks
            for i in later
        ]
        return places, (len(self.tasks), len(self.tasks), len(later))

    def _reference(self, line: str) -> list[tuple[int, Row]]:
        """Rows of a line of reference for the same model: of this step, else of any."""
        rows = enumerate(self.rows)
        found = [
            (i, row)
            for i, row in rows
            if row.line == line and row.of == self.model and row.checkpoint is None
        ]
        return [(i, row) for i, row in found if row.step == self.step] or found


def learned_in(rows: Sequence[Row]) -> tuple[Learned, ...]:
    """Every sequence, those of a single task among them, in the order of their rows."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for i in sorted(range(len(rows)), key=lambda i: rows[i].order):
        row = rows[i]
        if row.line not in REFERENCES and (row.learned or row.checkpoint is not None):
            groups.setdefault((row.step, row.of, row.line), []).append(i)
    found = (_divided(rows, group) for group in groups.values())
    return tuple(one for one in found if one.own)


def _divided(rows: Sequence[Row], group: list[int]) -> Learned:
    own, moments, open_ = [], [], list[int]()
    for i in group:
        if rows[i].checkpoint is not None:
            open_.append(i)
            continue
        own.append(i)
        moments.append(tuple(open_))
        open_ = []
    return Learned(rows, tuple(own), tuple(moments))


def _only(task: str, found: list[int], why_not: str) -> Place:
    if len(found) == 1:
        return Place(task, found[0])
    return Place(task, why_not=f"{len(found)} rows may be meant" if found else why_not)
