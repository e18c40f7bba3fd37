"""Whether vectors can be compared as a step is to compare them, seen before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.retrieval import Retrieval
from bequest.core.errors import Problem, RequestError
from bequest.methods.compat._upgrading import UpgradeMethod

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Model, Task
    from bequest.recipe.plan import Plan
    from bequest.runner.facts import Facts


def width_problems(
    plan: Plan, tasks: Mapping[str, Task], facts: Mapping[str, Facts]
) -> Iterator[Problem]:
    """New networks that are made for other old vectors, and indexes that hold others.

    facts: of every input model.
    """
    origins: dict[str, str] = {}
    for step in plan.steps:
        for role, name in step.models.items():
            if isinstance(name, str):
                origins[f"{step.name}.{role}"] = origins.get(name, name)
        old, new = (origins.get(f"{step.name}.{role}") for role in ("old", "new"))
        if not isinstance(step.method, UpgradeMethod) or old is None or new is None:
            continue
        width = facts[old].width
        if step.method_name != "independent" and facts[new].compared != width:
            what = (
                f"its vectors are compared in {facts[new].compared} numbers with those of `{old}`"
            )
            fix = f"write `old: {old}` in it, or set its widths"
            yield Problem(f"{what}, which have {width}", fix, ("models", new))
        own = origins.get(f"{step.name}.independent")
        if own is not None and facts[new].learns not in (None, facts[own].width):
            what = f"it learns vectors of {facts[new].learns} numbers from `{own}`, which has "
            yield Problem(f"{what}{facts[own].width}", "set its `width`", ("models", new))
        yield from _indexes(plan, tasks, step.tasks, old, width)


def _indexes(
    plan: Plan, tasks: Mapping[str, Task], names: Any, old: str, width: int | None
) -> Iterator[Problem]:
    for name in names:
        task = tasks[name]
        stored = task.stored if isinstance(task, Retrieval) else None
        if stored is not None and stored.shape[1] != width:
            what = f"the index holds vectors of {stored.shape[1]} numbers, `{old}` gives {width}"
            yield Problem(
                what, "name the model that made them", ("tasks", plan.entries[name], "index")
            )


def in_indexes(
    plan: Plan, tasks: Mapping[str, Task], name: str, model: Model
) -> tuple[list[str], list[Problem]]:
    """What a few vectors of each index say about the model `name` that is said to have made them.

    Notes for the user, and problems at their place in the recipe where it did not. Vectors of
    another length are left to `width_problems`.
    """
    notes, problems = [], []
    for task in _searched(plan, tasks, name):
        place = ("tasks", plan.entries[task.name], "index")
        try:
            notes += task.index_notes(model)
        except RequestError as error:
            problems += [one.under(*place) for one in error.problems]
    return notes, problems


def _searched(plan: Plan, tasks: Mapping[str, Task], name: str) -> Iterator[Retrieval]:
    """The tasks with an index in which the input model `name` is the old one of a step."""
    steps = [step for step in plan.steps if isinstance(step.method, UpgradeMethod)]
    names = (task for step in steps if step.models.get("old") == name for task in step.tasks)
    for task in dict.fromkeys(names):
        found = tasks[task]
        if isinstance(found, Retrieval) and found.stored is not None:
            yield found
