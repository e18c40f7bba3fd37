"""Models that are made from another model, which a recipe names inside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.find import find
from bequest.core.parts import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bequest.core.errors import Problem
    from bequest.core.find import Kind


class Inner(ModelSpec):
    """A model made from the one in `of`; it answers and takes what that one does."""

    answers: ClassVar[Collection[str]] = frozenset({"logits", "logprob", "complete", "embed"})
    inner: ClassVar[Mapping[str, Kind]] = {"of": "models"}

    of: dict[str, Any] = Field(
        description="The model it is made from: `use:` and its settings, or its name in the recipe."
    )

    def check(self) -> list[Problem]:
        """What is wrong with the other model."""
        return [problem.under("of") for problem in self.base().check()]

    def protocols(self) -> Collection[str]:
        """What the other model answers."""
        return self.base().protocols()

    def made_to_answer(self, protocols: Collection[str]) -> str:
        """What to write in the other model."""
        fix = self.base().made_to_answer(protocols) if {*self.answers} & {*protocols} else ""
        return f"{fix} in `of`" if fix else ""

    def kinds(self) -> Collection[str]:
        """What the other model takes."""
        return self.base().kinds()

    def comes_with_weights(self) -> bool:
        """If the other model does."""
        return self.base().comes_with_weights()

    def base(self) -> ModelSpec:
        """The other model."""
        return spec_of(self.of)


def spec_of(told: Mapping[str, Any]) -> ModelSpec:
    """The model of these settings, `use` among them."""
    settings = {name: value for name, value in told.items() if name != "use"}
    if ":" in told["use"]:
        return _users_own({"path": told["use"], "options": settings})
    spec: ModelSpec = find("models", told["use"]).model_validate(settings)
    return spec


def _users_own(settings: dict[str, Any]) -> ModelSpec:
    from bequest.build.models._user import UserModel

    target = find("models", settings["path"])
    if isinstance(target, type) and issubclass(target, ModelSpec):
        return target.model_validate(settings["options"])
    return UserModel.model_validate(settings)
