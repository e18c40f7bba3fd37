"""Whether vectors that are to be compared have the length for it, seen before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.retrieval import Retrieval
from bequest.core.errors import Problem
from bequest.methods.compat._upgrading import UpgradeMethod

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Task
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
            yield Problem(f"{what}, which have {width}", "set its widths", ("models", new))
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
