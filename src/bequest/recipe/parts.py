"""What `use:` names in a recipe, found and checked."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bequest.core.errors import Problem, RequestError
from bequest.core.find import find, known, singular
from bequest.core.parts import IndexSpec, Method, ModelSpec, Part, TaskSpec
from bequest.recipe.messages import choices, shown, validated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.find import Kind
    from bequest.recipe.draft import Draft
    from bequest.recipe.tree import Field

P = TypeVar("P", bound=Part)

_BASES: dict[Kind, type[Part]] = {
    "models": ModelSpec,
    "tasks": TaskSpec,
    "methods": Method,
    "indexes": IndexSpec,
}


@dataclass(frozen=True)
class Found(Generic[P]):
    """What a `use:` stands for.

    use: the name as written. base: its class; None if there is no such thing. part: the checked
    part; None if its fields are wrong. resolved: the part's fields as a recipe would write them.
    """

    use: str
    base: type[P] | None = None
    part: P | None = None
    resolved: dict[str, Any] | None = None


def find_models(draft: Draft) -> tuple[dict[str, Found[ModelSpec]], list[Problem]]:
    """Every model of the recipe by name, and what is wrong with them."""
    return _find_all("models", ModelSpec, draft)


def find_tasks(draft: Draft) -> tuple[dict[str, Found[TaskSpec]], list[Problem]]:
    """Every task of the recipe by name, and what is wrong with them."""
    return _find_all("tasks", TaskSpec, draft)


def find_method(raw: Any, draft: Draft, at: Field) -> tuple[Found[Method], list[Problem]]:
    """The method that is written at the field `at`, and what is wrong with it."""
    return _find_one("methods", Method, raw, draft, at)


def _find_all(kind: Kind, base: type[P], draft: Draft) -> tuple[dict[str, Found[P]], list[Problem]]:
    found: dict[str, Found[P]] = {}
    problems: list[Problem] = []
    written = draft.data.get(kind)
    for name, raw in written.items() if isinstance(written, dict) else ():
        found[name], wrong = _find_one(kind, base, raw, draft, (kind, name))
        problems += wrong
    return found, problems


def _find_one(
    kind: Kind, base: type[P], raw: Any, draft: Draft, at: Field
) -> tuple[Found[P], list[Problem]]:
    if not isinstance(raw, dict):
        return Found(""), []  # the skeleton's check says so
    use = raw.get("use")
    if not isinstance(use, str):
        problem = _no_use(kind, raw)
        return Found(""), [draft.locate(problem.under(*at))]
    options = {name: value for name, value in raw.items() if name != "use"}
    try:
        target = _target(kind, base, use)
        if target is None:
            return _users_model(use, options, base, draft, at)
        part, problems = validated(target, options, draft, at)
        inner, wrong = _inner(target, options, draft, at)
        if part is None or wrong:
            return Found(use, target), [*problems, *wrong]
        found = _checked(use, target, part, inner)
        return found, [draft.locate(one.under(*at)) for one in part.check()]
    except RequestError as error:
        return Found(use), [draft.locate(one.under(*at, "use")) for one in error.problems]


def _no_use(kind: Kind, raw: dict[str, Any]) -> Problem:
    fix = f"known are {choices(known(kind))}, or your own as `module:Name`"
    if "use" in raw:
        return Problem(f"must be text, but is {shown(raw['use'])}", fix, ("use",))
    return Problem("is missing", fix, ("use",))


def _target(kind: Kind, base: type[P], use: str) -> type[P] | None:
    """The class that `use` names, or None for a user's function that builds a model.

    Raises:
        RequestError: there is no such thing, or it is of another kind.
    """
    target = find(kind, use)
    if isinstance(target, type) and issubclass(target, base):
        return target
    if kind == "models" and callable(target):
        return None
    what = f"`{use}` is no {singular(kind)}"
    fix = f"it must be a subclass of bequest.core.parts.{base.__name__}"
    raise RequestError(Problem(what, fix + " or a function" * (kind == "models")))


def _inner(
    target: type[Part], options: dict[str, Any], draft: Draft, at: Field
) -> tuple[dict[str, Any], list[Problem]]:
    """The parts that a part's fields name, resolved, and what is wrong with them."""
    resolved, problems = {}, []
    for field, kind in target.inner.items():
        found, wrong = _find_one(kind, _BASES[kind], options.get(field), draft, (*at, field))
        resolved[field] = found.resolved
        problems += wrong
    return resolved, problems


def _checked(use: str, target: type[P], part: P, inner: Mapping[str, Any]) -> Found[P]:
    fields = {**part.model_dump(mode="json", by_alias=True), **inner}
    return Found(use, target, part, {"use": use, **fields})


def _users_model(
    use: str, options: dict[str, Any], base: type[P], draft: Draft, at: Field
) -> tuple[Found[P], list[Problem]]:
    # by name: the room of models is built upon this one
    user_model = importlib.import_module("bequest.build.models._user").UserModel
    part, problems = validated(user_model, {"path": use, "options": options}, draft, at)
    return Found(use, base, part, {"use": use, **options}), problems
