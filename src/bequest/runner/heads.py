"""Whether the models of a recipe can have the heads that its continual methods ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.build.heads import head_names, one_head_per_task
from bequest.core.errors import Problem, RequestError
from bequest.methods.continual._sequence import SHARED_WITH_HEADS, SequenceMethod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bequest.core.live import Model
    from bequest.recipe.plan import Plan, PlannedStep


def heads_problems(plan: Plan, build: Callable[[str], Model]) -> Iterator[Problem]:
    """What is wrong with the heads that steps ask for, at the models of the recipe.

    build: gives the input model of that name, anew.
    """
    steps = {step.name: step for step in plan.steps}
    for step in plan.steps:
        if not isinstance(step.method, SequenceMethod):
            continue
        origin, has_heads = _student(step, steps)
        if step.method.heads == "per_task":
            try:
                one_head_per_task(build(origin))
            except RequestError as error:
                yield from (problem.under("models", origin) for problem in error.problems)
        elif has_heads or head_names(build(origin)):
            yield SHARED_WITH_HEADS.under("models", origin)


def _student(step: PlannedStep, steps: dict[str, PlannedStep]) -> tuple[str, bool]:
    """The input model that a step's student goes back to, and whether a step gave it heads."""
    reference, has_heads = str(step.models["student"]), False
    while "." in reference:
        name, _, role = reference.partition(".")
        made_by = steps[name]
        has_heads = has_heads or getattr(made_by.method, "heads", "") == "per_task"
        reference = str(made_by.models[role])
    return reference, has_heads
