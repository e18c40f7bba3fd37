"""Weighted gradient ascent: tokens that are unlikely already count for less."""

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


class Wga(Retaining):
    """Train each token away as far as the student still finds it likely."""

    source: ClassVar[str] = (
        "Wang et al. 2025, Rethinking LLM Unlearning Objectives: A Gradient Perspective and Go "
        "Beyond, arXiv 2502.19301; as in OpenUnlearning"
    )

    beta: float = Field(1.0, ge=0, description="Power of a token's probability in its weight.")

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """−mean p^beta · NLL over tokens; the weight has no gradient."""

        def away(model: Any, batch: Batch, rng: torch.Generator) -> Value:
            nll = answers(model, batch).nll
            likely = (-nll.detach()).exp()
            return token_mean(-(likely**self.beta) * nll)

        return away
