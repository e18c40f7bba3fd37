"""Effective weights: what TRGP and CUBER add to projected gradients.

A new task may scale what old tasks' subspaces give: each such old task has a small trainable matrix
for this task, which leaves the weights themselves alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from bequest.lazy import torch
from bequest.methods.continual._layers import Scaled, gradients
from bequest.methods.continual._projection import Projection, ProjectionLearner
from bequest.ops.regimes import candidates, projection_norms

if TYPE_CHECKING:
    from bequest.core.live import Model
    from bequest.methods.continual._layers import ByLayer, Pairs
    from bequest.transfer.bench import Bench, TaskView


class Scaling(Projection):
    """Base of methods that let a new task scale what old tasks' subspaces give."""

    sufficient_projection: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the gradient above which an old task's subspace is used.",
    )
    candidates: int = Field(
        2, ge=0, description="Old tasks per layer that may be used: those with the largest share."
    )

    def learner(self, bench: Bench, model: Model) -> ScalingLearner:
        """What learns the tasks under one seed."""
        return ScalingLearner(self, bench, model)

    def regime(self, gradient: torch.Tensor, norm: float, remembered: torch.Tensor | None) -> int:
        """Regime 1, 2 or 3 of one old task at one layer.

        gradient: of the new task, [out, in]; norm: of its part in the old task's subspace;
        remembered: the old task's own gradient, where it was kept.
        """
        raise NotImplementedError


class ScalingLearner(ProjectionLearner):
    """Learns the tasks of one seed, each with scaling matrices of its own."""

    method: Scaling

    def before_task(self, task: TaskView) -> None:
        """Steps 1 and 2: find the regimes of old tasks, and open the task's effective weights."""
        super().before_task(task)
        chosen = {name: self.protection.tasks(name, 2, 3) for name in self.layers}
        bases = {
            name: {old: self._basis(name, old) for old in chosen[name]}
            for name in self.layers
            if chosen[name]
        }
        self.scalings = self.bench.module(f"scalings of {task.name}", lambda: _identities(bases))
        matrices = iter(self.scalings.parameters())
        self.used: dict[str, dict[str, Any]] = {
            name: {old: (basis, next(matrices)) for old, basis in there.items()}
            for name, there in bases.items()
        }
        if self.used:
            self.asked = Scaled(self.asked, self.used)

    def regimes(self, task: TaskView) -> dict[str, dict[str, int]]:
        """Step 1: from the gradient on one random batch; what is no candidate is in regime 1."""
        if not self.memory.learnt:
            return super().regimes(task)
        slopes = gradients(self.asked, self.layers, self.sample(task, "regimes"))
        return {name: self._regimes_at(name, slope) for name, slope in slopes.items()}

    def modules(self, task: TaskView) -> dict[str, Any]:
        """The model with the task's effective weights, and its scaling matrices."""
        return {"student": self.asked, "scalings": self.scalings}

    def pairs(self) -> Pairs:
        """Bases and scaling matrices as they now are."""
        return {
            name: {old: (basis, matrix.detach().clone()) for old, (basis, matrix) in there.items()}
            for name, there in self.used.items()
        }

    def _regimes_at(self, layer: str, slope: torch.Tensor) -> dict[str, int]:
        learnt = self.memory.learnt
        norms = projection_norms(slope, [self._basis(layer, old) for old in learnt])
        chosen = candidates(norms, self.method.candidates)
        return {
            old: self.method.regime(slope, float(norms[number]), kept.gradients.get(layer))
            if number in chosen
            else 1
            for number, (old, kept) in enumerate(learnt.items())
        }

    def _basis(self, layer: str, old: str) -> torch.Tensor:
        return self.memory.learnt[old].bases[layer].to(self.layers[layer].weight)


def _identities(bases: dict[str, ByLayer]) -> torch.nn.Module:
    sizes = [basis for there in bases.values() for basis in there.values()]
    return torch.nn.ParameterList(torch.eye(basis.shape[1], dtype=basis.dtype) for basis in sizes)
