"""What all continual methods share: the loop over tasks, its stages, and heads.

A method is a `SuccessiveMethod` (its fields) with a `Learner` (what it does around each task, and
what it keeps between tasks under one seed).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from bequest.build.heads import Headed, one_head_per_task
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import Method, Requires, Role
from bequest.core.stage import Stage
from bequest.lazy import functional, torch
from bequest.methods.continual._moments import Moments
from bequest.transfer.learning import LEARNS, own_loss

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.core.live import Model
    from bequest.core.pack import Pack
    from bequest.transfer.bench import Bench, TaskView
    from bequest.transfer.pool import Mixed
    from bequest.transfer.streams import Stream
    from bequest.transfer.terms import Term, Value

HEADS = "One last layer for all tasks, or one per task, which is told which task asks."
CHECKPOINTS = (
    "Optimiser steps within each task after which the student is measured too, such as "
    "[0, 1, 2, 5]; 0 is before the first. Metrics like lca and min_accuracy need them."
)
LEARNER: Mapping[str, Role] = {
    "student": Role("the model that learns", answers=LEARNS, learns=True)
}
LEARNER_OF_LABELS: Mapping[str, Role] = {"student": Role("the model that learns", learns=True)}
SHARED_WITH_HEADS = Problem(
    "the model has one head per task, but the method learns with a shared one",
    "write `heads: per_task`",
)


class Learner:
    """Learns one task after another; by itself it trains on labels and protects nothing.

    bench: what the step works with; model: what learns all tasks.
    keep: objects with `state_dict` that change while a task is fitted.
    checkpoints: optimiser steps within each task after which `moments` shows the model again.
    """

    keep: Sequence[Any] = ()
    checkpoints: Sequence[int] = ()
    _moments: Moments | None = None

    def __init__(self, bench: Bench, model: Model) -> None:
        self.bench, self.model = bench, model

    def learn(self, task: TaskView) -> None:
        """Learn one task: a head if it needs one, then what the method does before, in and after.

        The model is trained in place.
        """
        open_head(self.bench, self.model, task)
        self.before_task(task)
        self.fit(task)
        self.after_task(task)

    def before_task(self, task: TaskView) -> None:
        """Look at the model as it is before the task changes it."""

    def fit(self, task: TaskView) -> None:
        """One fit on the task."""
        modules = self.modules(task)
        self._moments = Moments(self.checkpoints, modules) if self.checkpoints else None
        self.bench.fit(
            modules,
            self.batches(task),
            self.loss,
            keep=[*self.keep, self._moments] if self._moments else self.keep,
            on_gradient=self.on_gradient,
            on_step=self._moments.look if self._moments else None,
        )

    def moments(self) -> Iterator[int]:
        """The steps of the last fit that were asked for; at each the model is what it was then."""
        if self._moments:
            yield from self._moments.again()

    def shown(self, task: TaskView) -> Model:
        """What is measured while a task is the newest, and after it."""
        return self.model

    def packs(self, task: TaskView) -> Mapping[str, Pack]:
        """What is kept beside the model once a task was learned."""
        return {}

    def modules(self, task: TaskView) -> Any:
        """What is fitted, and given to `loss`: the model as it answers for the task."""
        return answering(self.model, task.name)

    def batches(self, task: TaskView) -> Stream:
        """What is fitted on."""
        return task.train

    def loss(self, model: Any, batch: Any, rng: torch.Generator) -> Mapping[str, Term]:
        """The terms of the loss; cross-entropy with the labels, or of each token."""
        return {"hard": own_loss(model, batch)}

    def on_gradient(self, modules: Any, step: int) -> None:
        """Change gradients after the backward pass."""

    def after_task(self, task: TaskView) -> None:
        """Take from the learned task what is needed later."""

    def end(self) -> None:
        """All tasks are learned."""


class SequenceMethod(Method):
    """Base of methods for the tasks of a step as a sequence, in the recipe's order."""

    roles: ClassVar[Mapping[str, Role]] = LEARNER
    requires: ClassVar[Requires] = Requires(least_tasks=2)

    heads: Literal["shared", "per_task"] = Field("shared", description=HEADS)

    def prepared(self, model: Model) -> Model:
        """The model with heads as the method's field asks for them.

        Raises:
            RequestError: the model can't have one head per task, or has them and should not.
        """
        if self.heads == "per_task":
            return one_head_per_task(model)
        if isinstance(model, Headed):
            raise RequestError(SHARED_WITH_HEADS)
        return model


class SuccessiveMethod(SequenceMethod):
    """Base of methods that learn one task after another in one model."""

    checkpoints: tuple[Annotated[int, Field(ge=0)], ...] = Field((), description=CHECKPOINTS)

    def check(self) -> list[Problem]:
        """Checkpoints are in order."""
        if all(one < other for one, other in pairwise(self.checkpoints)):
            return []
        return [Problem("must rise, as in [0, 1, 2, 5]", field=("checkpoints",))]

    def learner(self, bench: Bench, model: Model) -> Learner:
        """What learns the tasks under one seed."""
        return Learner(bench, model)

    def ordered(self, bench: Bench) -> Sequence[TaskView]:
        """The tasks in the order in which they are learned: that of the recipe."""
        return bench.tasks("learn")

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """A stage after each task, and before it the moments within its learning."""
        learner = self.learner(bench, self.prepared(bench.model("student")))
        learner.checkpoints = self.checkpoints
        learned = []
        for task in self.ordered(bench):
            learner.learn(task)
            learned.append(task.name)
            for done in learner.moments():
                name, at = f"{task.name}-step-{done}", {"checkpoint": done}
                yield Stage(name, learner.shown(task), at=at, on=tuple(learned))
            packs = learner.packs(task)
            yield Stage(f"after-{task.name}", learner.shown(task), learned=task.name, deliver=packs)
        learner.end()


def open_head(bench: Bench, model: Model, task: TaskView) -> None:
    """Give the model a new head for the task, if it has heads and none for this task."""
    if isinstance(model, Headed) and task.name not in model.heads:
        head = bench.module(f"head for {task.name}", model.new_head)
        model.add(task.name, head, occurring(task))


def occurring(task: TaskView) -> set[str]:
    """The labels that training samples of the task have."""
    targets = task.train.split.targets
    return set() if targets is None else {task.labels[index] for index in set(targets.tolist())}


def answering(model: Model, task: str) -> Any:
    """The model as it answers for a task."""
    return model.for_task(task) if isinstance(model, Headed) else model


def mixed_logits(
    model: Model, tasks: Sequence[str], inputs: torch.Tensor, number: torch.Tensor
) -> torch.Tensor:
    """Each sample's logits, as the model answers for its task, in one pass: [batch, labels].

    tasks: names by the numbers in `number`, int64 [batch].
    """
    if not isinstance(model, Headed):
        logits: torch.Tensor = answering(model, "").logits(inputs)
        return logits
    return model.each(tasks, inputs)[number, torch.arange(len(number), device=number.device)]


def mixed_loss(model: Model, tasks: Sequence[str], mixed: Mixed) -> Value:
    """What a model learns from samples of several tasks, each asked as its task asks.

    tasks: names by the numbers in `mixed`.
    """
    batch = mixed.batch
    if batch.targets is None:
        return own_loss(model, batch)
    return functional.cross_entropy(
        mixed_logits(model, tasks, batch.inputs, mixed.number), batch.targets
    )
