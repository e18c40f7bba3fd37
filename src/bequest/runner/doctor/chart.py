"""What is at hand of a run: its files, and what its recipe builds again."""

from __future__ import annotations

import json
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from bequest.core.errors import BequestError
from bequest.runner.doctor.finding import LeftOut, NotAtHand
from bequest.runner.doctor.points import points_of_journal, points_of_run
from bequest.runner.unexpected import in_a_line
from bequest.store.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bequest.core.live import Model, Task
    from bequest.measure.matrix import Matrix
    from bequest.recipe.plan import Plan, PlannedStep
    from bequest.runner.doctor.points import Point
    from bequest.runner.preparing import Prepared

T = TypeVar("T")
_HEALTH = b'"event": "health"'


class Chart:
    """A run as the doctor sees it; everything is read or built when a check asks for it.

    Raises:
        RequestError: the folder holds no run.
    """

    def __init__(self, path: Path) -> None:
        self.folder = RunFolder(path)
        self.record = self.folder.read()

    @cached_property
    def points(self) -> list[Point]:
        """The course of every loss term; of a run that isn't finished, in its finished fits."""
        if self.folder.curves.exists():
            return points_of_run(self.folder.curves)
        return points_of_journal(self.folder.path / "journal")

    @cached_property
    def health(self) -> list[dict[str, Any]]:
        """What fits noticed about themselves, from the log; the latest of what was done twice."""
        lines: dict[tuple[Any, ...], dict[str, Any]] = {}
        for line in self._noticed():
            place = tuple(line.get(key) for key in ("step", "seed", "fit", "at"))
            lines[place] = line
        return list(lines.values())

    @cached_property
    def matrix(self) -> Matrix:
        """Outcomes of every stage on every task."""
        from bequest.measure import parquet
        from bequest.measure.matrix import Matrix

        if not self.folder.outcomes.exists():
            raise NotAtHand("there are no outcomes: the run isn't finished")
        return Matrix(parquet.read(self.folder.outcomes))

    @cached_property
    def plan(self) -> Plan:
        """The run's recipe, checked again."""
        from bequest.runner.preparing import inspect

        return _had("the recipe", lambda: inspect(self.record["recipe"]))[1]

    @cached_property
    def tasks(self) -> dict[str, Task | NotAtHand]:
        """Every task with its data, or why they can't be had as they were in the run."""
        tasks: dict[str, Task | NotAtHand] = {}
        for entry, spec in self.plan.tasks.items():
            try:
                tasks |= _had(f"task `{entry}`", partial(spec.load_parts, entry))
            except NotAtHand as why:
                tasks |= dict.fromkeys(spec.parts(entry), why)
        return {name: self._as_it_was(name, task) for name, task in tasks.items()}

    @property
    def at_hand(self) -> dict[str, Task]:
        """The tasks whose data are those of the run."""
        return {n: task for n, task in self.tasks.items() if not isinstance(task, NotAtHand)}

    def missing_tasks(self, check: str) -> Iterator[LeftOut]:
        """What a check of every task leaves out."""
        for name, task in self.tasks.items():
            if isinstance(task, NotAtHand):
                yield LeftOut(check, f"`{name}`: {task}")

    @cached_property
    def prepared(self) -> Prepared:
        """What builds the input models of the run."""
        from bequest.runner.preparing import Prepared, choose_device

        if missing := [str(task) for task in self.tasks.values() if isinstance(task, NotAtHand)]:
            raise NotAtHand(f"models need the shape of all data, but {missing[0]}")
        return Prepared(self.plan, self.at_hand, choose_device("auto"), {})

    def given(self, name: str, seed: int) -> Model:
        """An input model as it was before anything."""
        return _had(f"model `{name}`", lambda: self.prepared.build(name, seed))

    def delivered(self, step: PlannedStep, role: str, seed: int) -> Model:
        """What a finished step made of a role."""
        from bequest.runner.models import load_weights

        place = self.folder.model(step.name, role, seed)
        if not place.is_dir():
            raise NotAtHand("its step has delivered nothing yet")
        built = self.given(self._origin(step, role), seed)
        return _had(f"{place}", lambda: load_weights(built, place))

    def _origin(self, step: PlannedStep, role: str) -> str:
        """The input model that a role's model is a state of."""
        steps = {one.name: one for one in self.plan.steps}
        name = str(step.models[role])
        while name not in self.plan.models:
            before, _, role = name.rpartition(".")
            name = str(steps[before].models[role])
        return name

    def _as_it_was(self, name: str, task: Task | NotAtHand) -> Task | NotAtHand:
        if isinstance(task, NotAtHand):
            return task
        then = self.record.get("tasks", {}).get(name, {}).get("fingerprint")
        if then != task.fingerprint:
            return NotAtHand(f"the data of `{name}` are not those of the run any more")
        return task

    def _noticed(self) -> Iterator[dict[str, Any]]:
        if not self.folder.log.exists():
            raise NotAtHand(f"{self.folder.log} is gone")
        with self.folder.log.open("rb") as lines:
            for line in lines:
                if _HEALTH in line:
                    try:
                        yield json.loads(line)
                    except ValueError:  # a damaged line; there are others
                        continue


def _had(what: str, make: Callable[[], T]) -> T:
    """What `make` gives; a user's code and files may be gone, or fail in any way."""
    try:
        return make()
    except NotAtHand:
        raise
    except BequestError as error:
        raise NotAtHand(f"{what} can't be had any more: {error}") from error
    except Exception as error:
        raise NotAtHand(f"{what} can't be had any more: {in_a_line(error)}") from error
