"""Tasks that are made from one other task, which they name in `of`."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 — pydantic reads them
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.errors import Problem, RequestError
from bequest.core.find import Kind, find
from bequest.core.parts import TaskSpec

if TYPE_CHECKING:
    from bequest.core.live import Task


class OfAnother(TaskSpec):
    """Base of tasks that are made from another one."""

    kind: ClassVar[str] = ""  # that of the other task, known when it is loaded
    inner: ClassVar[Mapping[str, Kind]] = {"of": "tasks"}

    of: dict[str, Any] = Field(
        description="The task it is made from: `use:` and its settings, or its name in the recipe."
    )

    def check(self) -> list[Problem]:
        """What is wrong with the other task; it must be a single one."""
        spec = self.base()
        problems = [*super().check(), *(problem.under("of") for problem in spec.check())]
        if len(spec.parts("x")) > 1:
            what = f"`{self.of['use']}` is a sequence itself"
            problems.append(Problem(what, "name a single task", ("of", "use")))
        return problems

    def base(self) -> TaskSpec:
        """The other task."""
        settings = {name: value for name, value in self.of.items() if name != "use"}
        spec: TaskSpec = find("tasks", self.of["use"]).model_validate(settings)
        return spec

    def other(self, name: str) -> Task:
        """The other task with its data; of a sequence of one, that one.

        Raises:
            RequestError: it can't be loaded.
        """
        try:
            (task,) = self.base().load_parts(name).values()
        except RequestError as error:
            raise RequestError([problem.under("of") for problem in error.problems]) from error
        return task
