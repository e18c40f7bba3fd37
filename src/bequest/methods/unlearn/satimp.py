"""Saturation and importance: tokens that are neither forgotten nor certain count most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.methods.unlearn._reading import answers, token_mean
from bequest.methods.unlearn._unlearning import Retaining

if TYPE_CHECKING:
    import torch

    from bequest.core.live import Batch
    from bequest.methods.unlearn._unlearning import Objective
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows
    from bequest.transfer.terms import Value


class Satimp(Retaining):
    """Train each token away by a weight that is small where it is unlikely or certain."""

    source: ClassVar[str] = (
        "Yang et al. 2025, Exploring Criteria of Loss Reweighting to Enhance LLM Unlearning, arXiv "
        "2505.11953; as in OpenUnlearning"
    )

    gamma: float = Field(0.1, gt=0, description="Weight of forgetting.")
    beta1: float = Field(5.0, ge=0, description="Power of a token's probability.")
    beta2: float = Field(1.0, ge=0, description="Power of what is left of it to 1.")

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """−mean p^beta1 · (1 − p)^beta2 · NLL over tokens; the weight has no gradient."""

        def away(model: Any, batch: Batch, rng: torch.Generator) -> Value:
            nll = answers(model, batch).nll
            likely = (-nll.detach()).exp()
            return token_mean(-(likely**self.beta1) * (1 - likely) ** self.beta2 * nll)

        return away
