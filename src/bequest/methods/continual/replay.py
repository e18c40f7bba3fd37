"""Experience replay (Chaudhry et al. 2019): a few samples of old tasks beside each batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.lazy import functional, torch
from bequest.methods.continual._reservoir import Reservoir
from bequest.methods.continual._sequence import Learner, SuccessiveMethod, mixed_logits
from bequest.transfer.learning import own_loss
from bequest.transfer.pool import stacked
from bequest.transfer.streams import pair

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.live import Model
    from bequest.transfer.bench import Bench, TaskView
    from bequest.transfer.pool import Mixed
    from bequest.transfer.streams import Stream
    from bequest.transfer.terms import Term


class Replay(SuccessiveMethod):
    """Train on each task together with samples of the tasks before, from a memory of fixed size.

    Every step takes as many samples from memory as from the task, and the loss is the mean over
    both. The memory is a reservoir over all samples of all tasks so far. It takes up a task when
    that has been learned; the paper, which passes over each task once, fills it on the way.
    """

    source: ClassVar[str] = (
        "Chaudhry et al. 2019, On Tiny Episodic Memories in Continual Learning, "
        "arXiv 1902.10486, algorithms 1 and 2; reservoir: Vitter 1985, algorithm R"
    )

    memory: int = Field(
        200, ge=1, description="Budget: the most samples that are kept, over all tasks."
    )

    def learner(self, bench: Bench, model: Model) -> ReplayLearner:
        """What learns the tasks under one seed."""
        return ReplayLearner(bench, model, self.memory)


class ReplayLearner(Learner):
    """Mixes samples from memory into every batch, from the second task on."""

    def __init__(self, bench: Bench, model: Model, budget: int) -> None:
        super().__init__(bench, model)
        self.memory = Reservoir(budget)
        self._learned: list[str] = []
        self._task = ""

    def batches(self, task: TaskView) -> Stream:
        """The task's batches, each with one from memory beside it."""
        self._task = task.name
        return pair(task=task.train, memory=self.memory.stream()) if self._learned else task.train

    def loss(self, model: Any, batch: Any, rng: torch.Generator) -> Mapping[str, Term]:
        """Cross-entropy on both, each sample with the same weight."""
        if not self._learned:
            return super().loss(model, batch, rng)
        new, old = batch["task"], batch["memory"]
        if new.targets is None:
            share = len(new.ids) / (len(new.ids) + len(old.number))
            kept = own_loss(model, old.batch)
            return {"new": (share, own_loss(model, new)), "memory": (1 - share, kept)}
        sizes = [len(new.targets), len(old.number)]
        fresh, kept = torch.split(self._asked(new.inputs, old), sizes)
        share = len(fresh) / (len(fresh) + len(kept))
        return {
            "new": (share, functional.cross_entropy(fresh, new.targets)),
            "memory": (1 - share, functional.cross_entropy(kept, old.batch.targets)),
        }

    def after_task(self, task: TaskView) -> None:
        """Offer the task's samples to the memory."""
        self._learned.append(task.name)
        self.memory.see(task.train, self.bench.rng(f"memory of {task.name}"))

    def _asked(self, inputs: Any, old: Mixed) -> torch.Tensor:
        """Logits of the new samples and, after them, of those from memory, in one pass."""
        number = old.number.new_full((len(inputs),), len(self._learned))
        return mixed_logits(
            self.model,
            [*self._learned, self._task],
            stacked(inputs, old.batch.inputs),
            torch.cat([number, old.number]),
        )
