"""UNDIAL: the student distils itself as it came, with the true token's score lowered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.methods.unlearn._reading import scored, scores_before, token_mean
from bequest.methods.unlearn._unlearning import Unlearning
from bequest.ops.unlearning import shifted, soft_cross_entropy

if TYPE_CHECKING:
    import torch

    from bequest.core.live import Batch
    from bequest.methods.unlearn._unlearning import Objective
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows
    from bequest.transfer.terms import Value


class Undial(Unlearning):
    """Teach the student what it would have said, had it found each true token less likely.

    Only tokens of answers count; the released code counts prompts and padding too.
    """

    status: ClassVar[str] = "unconfirmed"
    source: ClassVar[str] = (
        "Dong et al. 2024, UNDIAL: Self-Distillation with Adjusted Logits for Robust Unlearning in "
        "Large Language Models, arXiv 2402.10052, section 3"
    )

    beta: float = Field(10.0, ge=0, description="What the score of a true token is lowered by.")

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """Cross-entropy with the lowered distribution, a mean over tokens."""
        before = scores_before(bench, forget)

        def away(model: Any, batch: Batch, rng: torch.Generator) -> Value:
            now = scored(model, batch)
            wanted = shifted(before(batch), now.targets, -self.beta)
            return token_mean(soft_cross_entropy(wanted, now.scores))

        return away
