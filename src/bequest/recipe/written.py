"""The steps of a recipe as they are written, and those that its reference lines add."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.core.parts import Method
from bequest.recipe.schema import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.recipe.draft import Draft
    from bequest.recipe.tree import Field

GOLD = "gold"
LINES = ("single", "joint", GOLD)


class Written(NamedTuple):
    """A step as written, its field, and the field of the step whose fit settings it has."""

    at: Field
    raw: dict[str, Any]
    fit_at: Field


def all_steps(draft: Draft) -> list[Written]:
    """The steps that are written, and after them those that `lines:` asks for."""
    written = list(written_steps(draft.data))
    return [*written, *_line_steps(draft, written)]


def written_steps(data: dict[str, Any]) -> Iterator[Written]:
    """Every step with its field; a recipe's only method is a step that is named like it."""
    if isinstance(steps := data.get("steps"), list):
        for number, step in enumerate(steps):
            if isinstance(step, dict):
                at = ("steps", number)
                yield Written(at, step, at)
    elif isinstance(method := data.get("method"), dict):
        name = str(method.get("use")).rpartition(":")[2]
        valid = re.fullmatch(NAME_PATTERN, name) and len(name) <= 64
        yield Written((), {"name": name if valid else "method", "method": method}, ())


def _line_steps(draft: Draft, written: list[Written]) -> Iterator[Written]:
    """A step for each reference line that no written step is called like."""
    lines, names = draft.data.get("lines"), [step.raw.get("name") for step in written]
    for number, line in enumerate(lines if isinstance(lines, list) else ()):
        like = line_like(line, written)
        if like and line not in names:
            made = _gold(like, written) if line == GOLD else _beside(line, like)
            yield made._replace(at=("lines", number))


def line_like(line: object, written: list[Written]) -> Written | None:
    """The step that a line stands beside: the first that forgets, or that learns a sequence."""
    wanted = _forgets if line == GOLD else learns_sequence
    return next((step for step in written if wanted(step.raw)), None) if line in LINES else None


def learns_sequence(raw: dict[str, Any]) -> bool:
    """Whether the method of a step as written is one for several tasks in order."""
    method = _method(raw)
    return bool(method and method.requires.least_tasks > 1)


def _forgets(raw: dict[str, Any]) -> bool:
    method = _method(raw)
    return bool(method and "forget" in method.requires.purposes)


def _beside(line: str, like: Written) -> Written:
    """The same step by another method."""
    raw = _same(like, "models", "tasks") | {"name": line, "line": line}
    heads = {name: value for name, value in like.raw["method"].items() if name == "heads"}
    return like._replace(raw=raw | {"method": {"use": line, **heads}})


def _gold(like: Written, written: list[Written]) -> Written:
    """The input model that forgets, as it was given, trained as it was once trained."""
    roles = find("methods", like.raw["method"]["use"]).roles
    reference = _reference(like, next((name for name in roles if roles[name].learns), "student"))
    steps, at = {str(step.raw.get("name")): step for step in written}, like
    while "." in reference:
        name, _, role = reference.partition(".")
        if name not in steps:
            break  # no such step, or round in a circle: the check of that step says so
        at = steps.pop(name)
        reference = _reference(at, role)
    raw = _same(like, "tasks") | {"name": GOLD, "line": GOLD, "method": {"use": GOLD}}
    return Written((), raw | {"models": {"student": reference}}, at.fit_at)


def _reference(step: Written, role: str) -> str:
    models = step.raw.get("models")
    return str(models.get(role, role)) if isinstance(models, dict) else role


def _same(like: Written, *fields: str) -> dict[str, Any]:
    return {field: like.raw[field] for field in fields if field in like.raw}


def _method(raw: dict[str, Any]) -> type[Method] | None:
    """The method of a step as written; None while its own check has something to say."""
    method = raw.get("method")
    try:
        found = find("methods", method["use"]) if isinstance(method, dict) else None
    except (RequestError, KeyError, TypeError, AttributeError):
        return None
    return found if isinstance(found, type) and issubclass(found, Method) else None
