"""Whether the models of a recipe can have the heads that its continual methods ask for, and
whether its gate asks only for tasks that have one by then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bequest.core.errors import Problem
from bequest.measure.rows import MAIN
from bequest.measure.rules import parse
from bequest.methods.continual._sequence import SHARED_WITH_HEADS, SequenceMethod
from bequest.methods.continual.single import Single

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.recipe.plan import Plan, PlannedStep
    from bequest.runner.facts import Facts

    Heads = frozenset[str] | None  # tasks that have one; None where one last layer serves all


def heads_problems(plan: Plan, facts: Mapping[str, Facts]) -> Iterator[Problem]:
    """What is wrong with the heads that steps ask for, at the models of the recipe; else at rules.

    facts: of every input model.
    """
    wrong = list(_model_problems(plan, facts))
    yield from wrong or _rule_problems(_Known(plan, facts))


def _model_problems(plan: Plan, facts: Mapping[str, Facts]) -> Iterator[Problem]:
    steps = {step.name: step for step in plan.steps}
    for step in plan.steps:
        if not isinstance(step.method, SequenceMethod):
            continue
        origin, has_heads = _student(step, steps)
        if step.method.heads == "per_task":
            yield from (problem.under("models", origin) for problem in facts[origin].no_heads)
        elif has_heads or facts[origin].heads:
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


def _rule_problems(known: _Known) -> Iterator[Problem]:
    for number, text in enumerate(known.plan.gate):
        rule = parse(text)
        compared = [rule.against] if rule.against else []
        for address in [rule.stage, *compared] if rule.task else ():
            heads = known.at(address)
            if heads is not None and rule.task not in heads:
                where = f"`{address}`" if address else "the end"
                what = f"the model has no head for `{rule.task}` at {where}: it was not learned yet"
                fix = f"learned by then are {', '.join(sorted(heads))}"
                yield Problem(what, fix, ("gate", number))


@dataclass(frozen=True)
class _Known:
    """The heads of the stages that are known before a run: those of students.

    facts: of every input model.
    """

    plan: Plan
    facts: Mapping[str, Facts]

    def at(self, address: str | None) -> Heads:
        """The heads at the stage that a gate rule means; None also where they aren't known."""
        name, _, stage = (address or MAIN).partition(".")
        step = self._step(name)
        student = step.models.get("student") if step else None
        if step is None or not isinstance(student, str):
            return None
        before = self._of(student)
        if getattr(step.method, "heads", "") != "per_task":
            return None if stage else before
        learned = self._learned(step, stage)
        return learned and (before or frozenset()) | learned

    def _step(self, name: str) -> PlannedStep | None:
        """The step of that name, or the last one of the line."""
        own = [step for step in self.plan.steps if step.name == name]
        return next(reversed(own or [s for s in self.plan.steps if s.line == name]), None)

    def _learned(self, step: PlannedStep, stage: str) -> Heads:
        """What a step with one head per task has learned at a stage, or at its last."""
        tasks = step.with_purpose("learn")
        ends = [i for i, name in enumerate(tasks) if stage in _stages_of(name)]
        if stage and not ends:
            return None
        end = ends[0] if stage else len(tasks) - 1
        return frozenset(
            tasks[end : end + 1] if isinstance(step.method, Single) else tasks[: end + 1]
        )

    def _of(self, reference: str) -> Heads:
        """The heads of an input model or of what a step delivered."""
        name, dot, role = reference.partition(".")
        if not dot:
            return self.facts[name].heads or None
        (step,) = (step for step in self.plan.steps if step.name == name)
        before = self._of(str(step.models[role]))
        if getattr(step.method, "heads", "") != "per_task" or isinstance(step.method, Single):
            return before  # `single` trains copies
        return (before or frozenset()) | (self._learned(step, "") or frozenset())


def _stages_of(task: str) -> tuple[str, ...]:
    """What continual methods call the stage that learned a task."""
    return f"after-{task}", f"only-{task}", f"up-to-{task}"
