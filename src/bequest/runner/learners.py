"""Whether methods can learn what their tasks ask, where that is a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.core.errors import Problem
from bequest.methods.continual.joint import Joint
from bequest.methods.continual.replay import Replay
from bequest.methods.continual.sequential import Sequential
from bequest.methods.continual.single import Single
from bequest.methods.distill.finetune import Finetune
from bequest.methods.unlearn.gold import Gold
from bequest.recipe.written import all_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Task
    from bequest.core.parts import Method
    from bequest.recipe.draft import Draft
    from bequest.recipe.plan import Plan

# They train by `own_loss` alone; others ask for logits or tokens themselves, or merge in float32,
# which a mean of the target needn't bear.
_LEARN_NUMBERS = (Finetune, Gold, Joint, Replay, Sequential, Single)
_OURS = "bequest."


def learner_problems(draft: Draft, plan: Plan, tasks: Mapping[str, Task]) -> Iterator[Problem]:
    """Steps whose method can't learn the numbers that a task of it asks for."""
    places = {str(step.raw.get("name")): step.at for step in all_steps(draft)}
    for step in plan.steps:
        at = (*places[step.name], "method")
        asked = [name for name in step.tasks if tasks[name].asks == "predict"]
        if not asked:
            continue
        if not _learns_numbers(step.method):
            what = f"`{step.method_name}` is for labels or texts, but `{asked[0]}` asks for numbers"
            names = ", ".join(f"`{one.__name__.lower()}`" for one in _LEARN_NUMBERS)
            yield Problem(what, f"numbers are learned by {names}", at)
        elif getattr(step.method, "label_smoothing", 0):
            what = f"`{asked[0]}` asks for numbers, which have no labels to smooth"
            yield Problem(what, "set `label_smoothing: 0`", (*at, "label_smoothing"))


def _learns_numbers(method: Method) -> bool:
    if isinstance(method, _LEARN_NUMBERS):
        return True
    own = not type(method).__module__.startswith(_OURS)
    return own and any("predict" in role.answers for role in method.roles.values() if role.learns)
