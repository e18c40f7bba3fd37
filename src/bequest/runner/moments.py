"""Whether the fits of a recipe are as long as the moments within them that it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.core.errors import Problem
from bequest.methods.continual._sequence import SuccessiveMethod
from bequest.recipe.written import all_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Task
    from bequest.recipe.draft import Draft
    from bequest.recipe.plan import Plan


def moments_problems(draft: Draft, plan: Plan, tasks: Mapping[str, Task]) -> Iterator[Problem]:
    """Checkpoints that lie beyond the end of the shortest fit of their step."""
    places = {str(step.raw.get("name")): step.at for step in all_steps(draft)}
    for step in plan.steps:
        if not isinstance(step.method, SuccessiveMethod) or not step.method.checkpoints:
            continue
        last, fit = step.method.checkpoints[-1], step.fit
        sizes = {name: len(tasks[name].splits["train"]) for name in step.with_purpose("learn")}
        shortest = min(sizes, key=sizes.__getitem__)
        steps = fit.steps or fit.epochs * -(-sizes[shortest] // fit.batch_size)
        if last > steps:
            what = f"the model can't be measured after {last} steps of a task, as the fit on "
            fix = f"ask for at most {steps}, or train longer"
            field = (*places[step.name], "method", "checkpoints")
            yield Problem(f"{what}`{shortest}` has {steps}", fix, field)
