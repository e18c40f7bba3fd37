"""Forgetting by gradient ascent: what gradient descent on the forget set learnt, taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bequest.methods.unlearn._reading import answers, token_mean
from bequest.methods.unlearn._unlearning import Unlearning

if TYPE_CHECKING:
    import torch

    from bequest.core.live import Batch
    from bequest.methods.unlearn._unlearning import Objective
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows
    from bequest.transfer.terms import Value


class GradAscent(Unlearning):
    """Train the student away from what it is to forget; nothing protects the rest.

    The loss has no lower bound: stop early, or it diverges.
    """

    source: ClassVar[str] = (
        "Jang et al. 2023, Knowledge Unlearning for Mitigating Privacy Risks in Language Models, "
        "arXiv 2210.01504, equation 1"
    )

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """Minus the mean NLL of all tokens of the batch."""
        return ascent


def ascent(model: Any, batch: Batch, rng: torch.Generator) -> Value:
    """Minus the mean NLL of all tokens of the right answers."""
    return token_mean(-answers(model, batch).nll)
