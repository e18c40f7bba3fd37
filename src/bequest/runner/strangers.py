"""Sources of another kind: data that a step learns from, which no model of the recipe can read.

Such a task has inputs of another shape, or other labels, than those that models are built for. Its
question is put to nobody, so it is no column of the matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.core.errors import Problem
from bequest.measure.rules import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Task
    from bequest.recipe.plan import Plan


def built_for(plan: Plan, tasks: Mapping[str, Task]) -> Task:
    """The task whose inputs and labels models are built for: the first that is no mere source."""
    sources = _sources(plan)
    return next((task for name, task in tasks.items() if name not in sources), _first(tasks))


def strangers(plan: Plan, tasks: Mapping[str, Task]) -> frozenset[str]:
    """Names of the tasks that are sources of another kind."""
    ours, sources = built_for(plan, tasks), _sources(plan)
    return frozenset(
        name
        for name, task in tasks.items()
        if name in sources
        and (task.shape != ours.shape or set(task.labels) != set(ours.labels))
        and task.asks == ours.asks == "logits"
    )


def stranger_problems(plan: Plan, tasks: Mapping[str, Task]) -> Iterator[Problem]:
    """Rules of the gate that ask what nobody is asked."""
    odd = strangers(plan, tasks)
    for number, text in enumerate(plan.gate):
        if (task := parse(text).task) in odd:
            what = f"no model answers `{task}`, a source of another kind than the target"
            fix = f"ask about {', '.join(name for name in tasks if name not in odd)}"
            yield Problem(what, fix, ("gate", number))


def _first(tasks: Mapping[str, Task]) -> Task:
    return next(iter(tasks.values()))


def _sources(plan: Plan) -> frozenset[str]:
    """The tasks that are sources wherever they are used."""
    used = [(name, step.purposes[name]) for step in plan.steps for name in step.tasks]
    others = {name for name, purpose in used if purpose != "source"}
    own = {part for part, name in plan.entries.items() if plan.tasks[name].purpose == "source"}
    return frozenset(({name for name, _ in used} | own) - others)
