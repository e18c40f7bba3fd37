"""Whether it shows which answers a model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bequest.core.find import find
from bequest.core.parts import TaskSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bequest.build.membership import Membership as LiveMembership
    from bequest.core.errors import Problem
    from bequest.core.find import Kind


class Membership(TaskSpec):
    """Can it be told from likelihoods which answers were trained on (members), and which never?

    Both sides are tasks of questions and answers, whose test samples are asked. Compare with
    a model that never saw the members: `privleak(task) vs gold`.
    """

    asks: ClassVar[str] = "logprob"
    kind: ClassVar[str] = "text"
    records: ClassVar[Collection[str]] = frozenset(
        {"loss", "min_k", "min_k_plus", "zlib", "member"}
    )
    inner: ClassVar[Mapping[str, Kind]] = {"members": "tasks", "strangers": "tasks"}

    purpose: Literal["probe"] = Field("probe", description="Nothing is learned from it.")
    members: dict[str, Any] = Field(description="The task of what was trained on: `use:` and more.")
    strangers: dict[str, Any] = Field(description="The task of what no model was trained on.")

    def check(self) -> list[Problem]:
        """What is wrong with the tasks inside."""
        return [
            problem.under(side)
            for side in self.inner
            for problem in self.side(side).check()
        ]  # fmt: skip

    def side(self, name: str) -> TaskSpec:
        """The task inside, of members or strangers."""
        told = getattr(self, name)
        settings = {key: value for key, value in told.items() if key != "use"}
        spec: TaskSpec = find("tasks", told["use"]).model_validate(settings)
        return spec

    def load(self, name: str) -> LiveMembership:
        """Both sides.

        Raises:
            RequestError: one can't be loaded, asks something else, or they share a sample.
        """
        from bequest.build.membership import membership

        return membership(self, name)
