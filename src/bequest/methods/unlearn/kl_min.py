"""KL minimisation: ascent, held by the distributions of the student as it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bequest.methods.unlearn._reading import scored, scores_before, whole_batch, whole_rows
from bequest.methods.unlearn._unlearning import Retaining
from bequest.methods.unlearn.grad_ascent import ascent
from bequest.ops.divergences import divergence_sum
from bequest.transfer.terms import Mean

if TYPE_CHECKING:
    import torch

    from bequest.core.live import Batch
    from bequest.methods.unlearn._unlearning import Objective
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows
    from bequest.transfer.terms import Value


class KlMin(Retaining):
    """Train the student away from what it is to forget, with its distributions elsewhere kept.

    These are compared at every position that something follows, in prompts too. Padding counts for
    nothing, so that batches of other lengths mean the same; the released code counts it.
    """

    source: ClassVar[str] = (
        "Maini et al. 2024, TOFU, arXiv 2401.06121, section 4.2; as in OpenUnlearning"
    )

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """Minus the mean NLL of all tokens of the batch."""
        return ascent

    def kept(self, bench: Bench, retain: Rows) -> Objective:
        """KL(before ‖ now), a mean over positions."""
        before = scores_before(bench, whole_rows(retain))

        def apart(model: Any, batch: Batch, rng: torch.Generator) -> Value:
            everywhere = whole_batch(batch)
            now = scored(model, everywhere).scores
            return Mean(divergence_sum(before(everywhere), now, "forward"), len(now))

        return apart
