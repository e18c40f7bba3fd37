"""Trust region gradient projection (Lin, Yang, Fan & Zhang 2022): old tasks' subspaces are reused.

Where a layer's gradient lies enough in an old task's subspace, the new task scales what that
subspace gives by a small matrix of its own, while the weights there stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.methods.continual._scaling import Scaling, ScalingLearner
from bequest.ops.regimes import regime

if TYPE_CHECKING:
    import torch

    from bequest.core.live import Model
    from bequest.transfer.bench import Bench


class Trgp(Scaling):
    """Learn task after task off old subspaces, reusing what related ones give by scaling it."""

    source: ClassVar[str] = "Lin, Yang, Fan & Zhang 2022, arXiv 2202.02931, algorithm 1"

    as_released: bool = Field(
        False,
        description="Choose subspaces as the released code does, one direction short each time.",
    )

    def learner(self, bench: Bench, model: Model) -> ScalingLearner:
        """What learns the tasks under one seed."""
        learner = super().learner(bench, model)
        learner.as_released = self.as_released
        return learner

    def regime(self, gradient: torch.Tensor, norm: float, remembered: torch.Tensor | None) -> int:
        """Regime 1 or 2 of one old task at one layer."""
        return regime(gradient, norm, self.sufficient_projection)
