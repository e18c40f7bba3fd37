"""CE-U: the student's own distribution without the true token becomes the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.methods.unlearn._reading import scored
from bequest.methods.unlearn._unlearning import Unlearning
from bequest.ops.unlearning import positions_behind, shifted, soft_cross_entropy
from bequest.transfer.terms import Mean

if TYPE_CHECKING:
    import torch

    from bequest.core.live import Batch
    from bequest.methods.unlearn._unlearning import Objective
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows
    from bequest.transfer.terms import Value


class CeU(Unlearning):
    """Teach the student what it says now, but for the true token, which it is never to say."""

    source: ClassVar[str] = (
        "Yang 2025, CE-U: Cross Entropy Unlearning, arXiv 2503.01224; as in OpenUnlearning"
    )

    skipped: int = Field(
        1,
        ge=0,
        description="Tokens at the start of each answer that are left alone; labels have one only, "
        "which counts in any case.",
    )

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """Cross-entropy with the distribution that lacks the true token, a mean over tokens."""

        def away(model: Any, batch: Batch, rng: torch.Generator) -> Value:
            now = scored(model, batch)
            skipped = self.skipped if batch.targets is None else 0
            counted = positions_behind(now.lengths, skipped)
            wanted = shifted(now.scores.detach(), now.targets, float("-inf"))
            each = soft_cross_entropy(wanted, now.scores)
            return Mean((each * counted).sum(), counted.sum())

        return away
