"""The steps of a recipe as they are written, and those that its reference lines add."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.recipe.schema import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.recipe.draft import Draft
    from bequest.recipe.tree import Field


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
    """A step for each reference line: like the first that learns a sequence, by another method."""
    like = next((step for step in written if learns_sequence(step.raw)), None)
    lines, names = draft.data.get("lines"), [step.raw.get("name") for step in written]
    if like is None or not isinstance(lines, list):
        return
    same: dict[str, Any] = {
        field: like.raw[field] for field in ("models", "tasks") if field in like.raw
    }
    heads = {name: value for name, value in like.raw["method"].items() if name == "heads"}
    for number, line in enumerate(lines):
        if isinstance(line, str) and line not in names:
            raw = {**same, "name": line, "method": {"use": line, **heads}, "line": line}
            yield Written(("lines", number), raw, like.fit_at)


def learns_sequence(raw: dict[str, Any]) -> bool:
    """Whether the method of a step as written is one for several tasks in order."""
    method = raw.get("method")
    try:
        return isinstance(method, dict) and find("methods", method["use"]).requires.least_tasks > 1
    except (RequestError, KeyError, TypeError, AttributeError):
        return False  # the method's own check says what is wrong
