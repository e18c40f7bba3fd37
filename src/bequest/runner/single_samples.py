"""Whether a fit would train batch norm on a single sample, seen before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.core.errors import Problem
from bequest.methods.continual._sequence import SequenceMethod

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Task
    from bequest.recipe.plan import Plan, PlannedStep
    from bequest.runner.facts import Facts

_WHY = "has batch norm, which can't be trained on a single sample"


def single_sample_problems(
    plan: Plan, tasks: Mapping[str, Task], facts: Mapping[str, Facts]
) -> Iterator[Problem]:
    """Batches of one sample, and training data of one, for models that need two.

    facts: of every input model.
    """
    for number, step in enumerate(plan.steps):
        model = _needs_two(plan, step, facts)
        if model is None:
            continue
        if step.fit.batch_size == 1:
            what = f"step `{step.name}`: model `{model}` {_WHY}"
            yield Problem(what, "set `batch_size` to 2 or more", _field(plan, number))
        for name in _learned_alone(step):
            if len(tasks[name].splits["train"]) == 1:
                what = f"task `{name}` has one training sample, but model `{model}` {_WHY}"
                yield Problem(what, "give two or more samples", ("tasks", plan.entries[name]))


def _needs_two(plan: Plan, step: PlannedStep, facts: Mapping[str, Facts]) -> str | None:
    """The first input model that the step trains and that can't learn from one sample."""
    learning = (
        origin
        for role, names in step.models.items()
        if step.method.roles[role].learns
        for origin in plan.origins(names)
    )
    return next((name for name in learning if facts[name].needs_two), None)


def _learned_alone(step: PlannedStep) -> tuple[str, ...]:
    """Tasks whose samples share no batch with those of others."""
    learned = step.with_purpose("learn")
    return learned if len(learned) == 1 or isinstance(step.method, SequenceMethod) else ()


def _field(plan: Plan, step: int) -> tuple[str | int, ...]:
    return ("fit", "batch_size") if len(plan.steps) == 1 else ("steps", step, "fit", "batch_size")
