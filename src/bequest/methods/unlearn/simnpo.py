"""Simple NPO: negative preference by the mean likelihood of a token, without a reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.methods.unlearn._unlearning import Retaining, by_answer
from bequest.ops.unlearning import preferred

if TYPE_CHECKING:
    from bequest.methods.unlearn._unlearning import Objective
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows


class Simnpo(Retaining):
    """Train each answer away until its tokens are unlikely by themselves; long ones no further."""

    source: ClassVar[str] = (
        "Fan et al. 2024, Simplicity Prevails: Rethinking Negative Preference Optimization for LLM "
        "Unlearning, arXiv 2410.07163"
    )

    gamma: float = Field(0.125, gt=0, description="Weight of forgetting.")
    beta: float = Field(4.5, gt=0, description="How soon an answer counts as forgotten.")
    delta: float = Field(
        0.0, description="NLL of a token, in nats, above which an answer counts as forgotten."
    )

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """−(2 / beta) · mean log sigmoid(beta · (NLL of a token − delta)), over answers."""
        return by_answer(
            lambda now, batch: preferred(now.sums / now.lengths, self.delta, self.beta)
        )
