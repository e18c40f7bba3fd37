"""What all continual methods share: the loop over tasks, its stages, and heads.

A method is a `SequenceMethod` (its fields) with a `Learner` (what it does around each task, and
what it keeps between tasks under one seed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bequest.build.heads import Headed, one_head_per_task
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import Method, Requires
from bequest.core.stage import Stage
from bequest.lazy import functional, torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.core.live import Batch, Model
    from bequest.transfer.bench import Bench, TaskView
    from bequest.transfer.streams import Stream
    from bequest.transfer.terms import Term

HEADS = "One last layer for all tasks, or one per task, which is told which task asks."
SHARED_WITH_HEADS = Problem(
    "the model has one head per task, but the method learns with a shared one",
    "write `heads: per_task`",
)


class Learner:
    """Learns one task after another; by itself it trains on labels and protects nothing.

    bench: what the step works with; model: what learns all tasks.
    keep: objects with `state_dict` that change while a task is fitted.
    """

    keep: Sequence[Any] = ()

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
        self.bench.fit(
            self.modules(task),
            self.batches(task),
            self.loss,
            keep=self.keep,
            on_gradient=self.on_gradient,
        )

    def modules(self, task: TaskView) -> Any:
        """What is fitted, and given to `loss`: the model as it answers for the task."""
        return answering(self.model, task.name)

    def batches(self, task: TaskView) -> Stream:
        """What is fitted on."""
        return task.train

    def loss(self, model: Any, batch: Any, rng: torch.Generator) -> Mapping[str, Term]:
        """The terms of the loss; cross-entropy with the labels."""
        return {"hard": cross_entropy(model, batch)}

    def on_gradient(self, modules: Any, step: int) -> None:
        """Change gradients after the backward pass."""

    def after_task(self, task: TaskView) -> None:
        """Take from the learned task what is needed later."""


class SequenceMethod(Method):
    """Base of methods that learn the tasks of a step one after another, in the recipe's order."""

    requires: ClassVar[Requires] = Requires(least_tasks=2)

    heads: Literal["shared", "per_task"] = Field("shared", description=HEADS)

    def learner(self, bench: Bench, model: Model) -> Learner:
        """What learns the tasks under one seed."""
        return Learner(bench, model)

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage per task: the student after it."""
        yield from self.learn_tasks(bench)

    def learn_tasks(self, bench: Bench) -> Iterator[Stage]:
        """The loop: a stage after each task."""
        learner = self.learner(bench, self.prepared(bench.model("student")))
        for task in bench.tasks("learn"):
            learner.learn(task)
            yield Stage(f"after-{task.name}", learner.model, learned=task.name)

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


def cross_entropy(model: Any, batch: Batch) -> torch.Tensor:
    """Mean over the batch, in nats."""
    return functional.cross_entropy(model.logits(batch.inputs), batch.targets)
