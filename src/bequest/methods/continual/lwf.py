"""Learning without forgetting (Li & Hoiem 2016): old answers to new inputs are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.build.heads import Headed
from bequest.lazy import functional, torch
from bequest.methods.continual._sequence import (
    LEARNER_OF_LABELS,
    Learner,
    SuccessiveMethod,
    answering,
)
from bequest.ops.divergences import kl_from_logits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.core.live import Model
    from bequest.core.parts import Role
    from bequest.transfer.bench import Bench, TaskView
    from bequest.transfer.cache import Recalled
    from bequest.transfer.terms import Term


class Lwf(SuccessiveMethod):
    """Train on each task while answering its inputs as the model before it did.

    No old data are kept. With one head per task, the answers of every old head are kept; with a
    shared one, those of the one head. As in the paper, the softened term is not multiplied by
    temperature²; the paper's warm-up, which first trains a new head alone, is left out.
    """

    roles: ClassVar[Mapping[str, Role]] = LEARNER_OF_LABELS
    source: ClassVar[str] = (
        "Li & Hoiem 2016, Learning without Forgetting, arXiv 1606.09282, equations 1 to 4"
    )

    weight: float = Field(
        1.0, ge=0, description="Weight of the old answers (the paper's lambda); 0 is `sequential`."
    )
    temperature: float = Field(
        2.0, gt=0, description="Softens old and new answers; 1 leaves them as they are."
    )

    def learner(self, bench: Bench, model: Model) -> LwfLearner:
        """What learns the tasks under one seed."""
        return LwfLearner(bench, model, self.weight, self.temperature)


class LwfLearner(Learner):
    """Holds, while a task is learned, what the model before it answered to its inputs."""

    def __init__(self, bench: Bench, model: Model, weight: float, temperature: float) -> None:
        super().__init__(bench, model)
        self._weight, self._temperature = weight, temperature
        self._learned: list[str] = []
        self._task = ""
        self._before: list[Recalled] = []

    def before_task(self, task: TaskView) -> None:
        """Ask the model as it is about every input of the task, once for each old head."""
        self._task = task.name
        if not self._weight or not self._learned:
            return
        before = self.bench.copy(self.model, frozen=True)
        old = self._learned if isinstance(before, Headed) else self._learned[-1:]
        self._before = [self.bench.recall(answering(before, name), task.train) for name in old]

    def loss(self, model: Any, batch: Any, rng: torch.Generator) -> Mapping[str, Term]:
        """Cross-entropy with the labels, and how far answers went from the old ones."""
        if not self._before:
            return super().loss(model, batch, rng)
        new, *old = self._asked(batch.inputs)
        gone = [
            kl_from_logits(before(batch), now, self._temperature)
            for before, now in zip(self._before, old, strict=True)
        ]
        hard = functional.cross_entropy(new, batch.targets)
        return {"hard": hard, "kept": (self._weight, torch.stack(gone).sum())}

    def after_task(self, task: TaskView) -> None:
        """Its answers are to be kept from now on."""
        self._learned.append(task.name)

    def _asked(self, inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        """Logits for the task, then those that are to stay, in one pass."""
        if isinstance(self.model, Headed):
            return self.model.each([self._task, *self._learned], inputs).unbind()
        logits = answering(self.model, "").logits(inputs)
        return logits, logits
