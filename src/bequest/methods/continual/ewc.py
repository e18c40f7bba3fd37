"""Elastic weight consolidation (Kirkpatrick et al. 2017): weights that mattered are held back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.lazy import torch
from bequest.methods.continual._sequence import (
    LEARNER_OF_LABELS,
    Learner,
    SuccessiveMethod,
    answering,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.live import Model
    from bequest.core.parts import Role
    from bequest.transfer.bench import Bench, TaskView

    Tensors = dict[str, torch.Tensor]


class Ewc(SuccessiveMethod):
    """Pull each weight to where old tasks left it, by how much their answers depend on it.

    The penalty of every old task k is strength / 2 · Σ F_k (θ − θ_k)², with F_k the diagonal of the
    Fisher information at θ_k. Their sum has the gradient of one penalty with importance ΣF_k and
    centre ΣF_kθ_k / ΣF_k, which is all that is kept, so the cost does not grow with the tasks.
    """

    roles: ClassVar[Mapping[str, Role]] = LEARNER_OF_LABELS
    source: ClassVar[str] = "Kirkpatrick et al. 2017, arXiv 1612.00796, equation 3"

    strength: float = Field(
        100.0,
        ge=0,
        description="Weight of the penalty (the paper's lambda); 0 is `sequential`. Where it is "
        "large against 1 / lr, plain SGD diverges.",
    )
    samples: int = Field(
        256, ge=1, description="Training samples of a task that its importances are taken from."
    )

    def learner(self, bench: Bench, model: Model) -> EwcLearner:
        """What learns the tasks under one seed."""
        return EwcLearner(bench, model, self.strength, self.samples)


class EwcLearner(Learner):
    """Adds the gradient of the collapsed penalty after every backward pass."""

    def __init__(self, bench: Bench, model: Model, strength: float, samples: int) -> None:
        super().__init__(bench, model)
        self._strength, self._samples = strength, samples
        self.importance: Tensors = {}
        self.centre: Tensors = {}

    def on_gradient(self, modules: Any, step: int) -> None:
        """Add strength · F (θ − centre); its value would cost more than the gradient."""
        for name, weight in self.model.module.named_parameters():
            if weight.grad is not None and name in self.importance:
                away = weight.detach() - self.centre[name]
                weight.grad.addcmul_(self.importance[name], away, value=self._strength)

    def after_task(self, task: TaskView) -> None:
        """Take the importances of the task's weights into the sum."""
        if not self._strength:
            return  # no penalty, so nothing is worth measuring
        asked = answering(self.model, task.name)

        def measured() -> Tensors:
            rows = torch.randperm(len(task.train))[: self._samples].to(task.train.device)
            return fisher(asked, task.train.batch(rows).inputs)

        found = self.bench.remember(f"importances of {task.name}", measured)
        for name, weight in self.model.module.named_parameters():
            if name in found:
                self._take_in(name, found[name].to(weight.device), weight.detach())

    def _take_in(self, name: str, importance: torch.Tensor, weight: torch.Tensor) -> None:
        if name not in self.importance:
            self.importance[name], self.centre[name] = importance.clone(), weight.clone()
            return
        self.importance[name] += importance
        # A weight that never mattered has no centre; anything finite will do.
        share = torch.nan_to_num(importance / self.importance[name])
        self.centre[name] += share * (weight - self.centre[name])


def fisher(model: Any, inputs: Any) -> Tensors:
    """The diagonal of the Fisher information of every weight that the answers depend on.

    inputs: [n, …], or texts. The mean over inputs of the squared gradient of log p(label | input),
    with one label drawn from the model's own answer to each; draws from torch's global generator.
    """
    model.module.eval()
    weights = {name: each for name, each in model.module.named_parameters() if each.requires_grad}
    sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for row in range(len(inputs)):
        log_probability = model.logits(inputs[row : row + 1]).log_softmax(dim=1)[0]
        label = torch.multinomial(log_probability.detach().exp(), 1)
        found = torch.autograd.grad(
            log_probability[label[0]], list(weights.values()), allow_unused=True
        )
        for name, gradient in zip(sums, found, strict=True):
            if gradient is not None:
                sums[name].addcmul_(gradient, gradient, value=1 / len(inputs))
    return {name: total for name, total in sums.items() if total.any()}
