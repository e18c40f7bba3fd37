"""What all audits share: tasks that look for what a model was made to forget."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from bequest.core.errors import Problem
from bequest.core.live import Purpose  # noqa: TC001 — pydantic reads it
from bequest.core.parts import TaskSpec


class Audit(TaskSpec):
    """Base of audits, which lie in `build/tasks/audits/`.

    status: one of `core.parts.STATUSES`.
    source: the publication; works_in: modules that the audit is made of, beside its own.
    """

    status: ClassVar[str] = "faithful"
    source: ClassVar[str] = ""
    works_in: ClassVar[tuple[str, ...]] = ()

    purpose: Purpose = Field("probe", description="An audit only probes: no step learns from it.")

    def check(self) -> list[Problem]:
        """That no step is to learn from it."""
        problems = super().check()
        if self.purpose != "probe":
            what = f"an audit only probes, but its purpose is `{self.purpose}`"
            problems.append(Problem(what, "leave `purpose` out", ("purpose",)))
        return problems
