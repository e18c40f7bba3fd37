"""CUBER (Lin, Yang, Fan & Zhang 2022): a new task may improve old tasks that it agrees with.

Per layer, each old task is in one of three regimes. 1: the new gradient hardly touches its
subspace; the weights there are left alone. 2: it does, without agreeing with the old task's own
gradient; the weights are left alone, and the new task scales what they give. 3: it does and agrees;
the weights may change there, held back by a penalty, which can carry knowledge backwards.

Backward transfer is small in the paper (+0.1 to +0.2 points), and needs related tasks. The weight
of the penalty is not given there; the default is what the controlled problem of the tests needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.lazy import torch
from bequest.methods.continual._layers import gradients
from bequest.methods.continual._scaling import Scaling, ScalingLearner
from bequest.ops.regimes import cosine, regime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.core.live import Batch, Model
    from bequest.methods.continual._layers import ByLayer
    from bequest.transfer.bench import Bench, TaskView
    from bequest.transfer.terms import Term


def penalty(
    weight: torch.Tensor, start: torch.Tensor, bases: Sequence[torch.Tensor]
) -> torch.Tensor:
    """How far a layer has moved within the subspaces `bases`: the sum of ||(W − W_start) B_j||.

    weight, start: [out, in], now and before the task; bases: [in, r_j]. Frobenius norms, not
    squared; at the start both value and gradient are 0.
    """
    moved = [torch.linalg.vector_norm((weight - start) @ basis) for basis in bases]
    return torch.stack(moved).sum() if moved else weight.new_zeros(())


class Cuber(Scaling):
    """Learn task after task, and let a new one improve old ones whose gradients agree with it."""

    source: ClassVar[str] = "Lin, Yang, Fan & Zhang 2022, arXiv 2211.00789, algorithm 1"

    least_correlation: float = Field(
        0.0, description="Cosine with an old task's gradient from which its weights may change."
    )
    penalty: float = Field(
        0.05, ge=0, description="Weight of the change within subspaces of agreeing old tasks."
    )
    check_every: int = Field(
        1, ge=1, description="Steps between two checks that old tasks still agree."
    )

    def learner(self, bench: Bench, model: Model) -> CuberLearner:
        """What learns the tasks under one seed."""
        return CuberLearner(self, bench, model)

    def regime(self, gradient: torch.Tensor, norm: float, remembered: torch.Tensor | None) -> int:
        """Regime 1, 2 or 3 of one old task at one layer."""
        return regime(
            gradient, norm, self.sufficient_projection, remembered, self.least_correlation
        )


class CuberLearner(ScalingLearner):
    """Learns the tasks of one seed, and leaves weights free where an old task agrees."""

    method: Cuber

    def before_task(self, task: TaskView) -> None:
        """Also remember the weights as they are before the task."""
        super().before_task(task)
        self._start = {
            name: layer.weight.detach().flatten(1).clone() for name, layer in self.layers.items()
        }

    def loss(self, modules: Any, batch: Batch, rng: torch.Generator) -> Mapping[str, Term]:
        """Step 3: the loss of the task, and the penalty once there are old tasks."""
        terms = super().loss(modules, batch, rng)
        if not self.memory.learnt:
            return terms
        moved = torch.stack([self._moved(name) for name in self.layers]).sum()
        return {**terms, "penalty": (self.method.penalty, moved)}

    def on_gradient(self, modules: Any, step: int) -> None:
        """Step 5 before step 4: a gradient that no longer agrees moves nothing any more."""
        if step % self.method.check_every == 0:
            for name in self.layers:
                self._check(name)
        super().on_gradient(modules, step)

    def gradients(self, batch: Batch) -> ByLayer:
        """The gradient of the task just learnt, for later tasks to compare theirs with."""
        return gradients(self.asked, self.layers, batch)

    def _moved(self, layer: str) -> torch.Tensor:
        free = [self.used[layer][old][0] for old in self.protection.tasks(layer, 3)]
        return penalty(self.layers[layer].weight.flatten(1), self._start[layer], free)

    def _check(self, layer: str) -> None:
        free = self.protection.tasks(layer, 3)
        if not free:
            return
        slope = self._slope_of_the_task(layer)
        for old in free:
            kept = self.memory.learnt[old].gradients[layer]
            if cosine(kept, slope) < self.method.least_correlation:
                self.protection.protect(layer, old)

    def _slope_of_the_task(self, layer: str) -> torch.Tensor:
        """The layer's gradient [out, in] without the penalty's share."""
        weight = self.layers[layer].weight
        (share,) = torch.autograd.grad(self.method.penalty * self._moved(layer), weight)
        slope: torch.Tensor = (weight.grad - share).flatten(1)
        return slope
