"""A checked recipe: what will be done, with nothing left open."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bequest.core.errors import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Purpose
    from bequest.core.parts import Method, ModelSpec, TaskSpec
    from bequest.recipe.schema import FitSettings
    from bequest.recipe.tree import Field

_ABSENT = object()


@dataclass(frozen=True)
class PlannedStep:
    """One application of a method.

    method_name: what the recipe's `use` says.
    models: for every role of the method an input model ("teacher") or a result of an earlier step
        ("teach.student"); several where the role holds many.
    tasks: names of the step's tasks, in their order; parts, where an entry stands for several.
    purposes: what each of them is there for in this step.
    fit: general defaults, the method's, the recipe's and the step's, merged in this order.
    """

    name: str
    method_name: str
    method: Method
    models: Mapping[str, str | tuple[str, ...]]
    tasks: tuple[str, ...]
    purposes: Mapping[str, Purpose]
    fit: FitSettings
    line: str

    def with_purpose(self, purpose: Purpose) -> tuple[str, ...]:
        """The step's tasks that are there for one purpose."""
        return tuple(name for name in self.tasks if self.purposes[name] == purpose)


@dataclass(frozen=True)
class Plan:
    """A recipe without a mistake that can be seen before anything is loaded.

    name: stem of the recipe's file, or name of the built-in recipe.
    tasks: the recipe's entries, each of which may stand for several tasks.
    resolved: the recipe as JSON-like values with its bases merged and all defaults filled in; it
        is a recipe itself, and does not depend on the names of files it was read from.
    """

    name: str
    title: str
    models: Mapping[str, ModelSpec]
    tasks: Mapping[str, TaskSpec]
    steps: tuple[PlannedStep, ...]
    seeds: tuple[int, ...]
    gate: tuple[str, ...]
    resolved: dict[str, Any]

    @property
    def entries(self) -> dict[str, str]:
        """The entry of the recipe that each task comes from, by the task's name."""
        return {part: name for name, spec in self.tasks.items() for part in spec.parts(name)}

    def origins(self, references: str | tuple[str, ...]) -> tuple[str, ...]:
        """The input models that references such as `teach.student` go back to."""
        steps = {step.name: step for step in self.steps}
        found: list[str] = []
        for reference in (references,) if isinstance(references, str) else references:
            name, dot, role = reference.partition(".")
            found += self.origins(steps[name].models[role]) if dot else [reference]
        return tuple(dict.fromkeys(found))

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved recipe, as hex: equal for recipes that ask for the same."""
        text = json.dumps(self.resolved, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed between two resolved recipes, one line per field: `fit.epochs: 20 -> 30`."""
    return list(_differences(dict(old), dict(new), ()))


def _differences(old: Any, new: Any, path: Field) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            there, here = old.get(name, _ABSENT), new.get(name, _ABSENT)
            yield from _differences(there, here, (*path, name))
    elif _lists_of_mappings(old, new):
        for number, (there, here) in enumerate(zip(old, new, strict=True)):
            yield from _differences(there, here, (*path, number))
    elif _text(old) != _text(new):
        yield f"{dotted(path)}: {_text(old)} -> {_text(new)}"


def _lists_of_mappings(old: Any, new: Any) -> bool:
    if not (isinstance(old, list) and isinstance(new, list) and len(old) == len(new)):
        return False
    return all(isinstance(entry, dict) for entry in (*old, *new))


def _text(value: Any) -> str:
    return "(absent)" if value is _ABSENT else json.dumps(value, sort_keys=True, ensure_ascii=False)
