"""How far one distribution lies from another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.lazy import functional

if TYPE_CHECKING:
    import torch


def kl_from_logits(
    target: torch.Tensor,
    logits: torch.Tensor,
    temperature: float = 1.0,
    *,
    target_learns: bool = False,
) -> torch.Tensor:
    """KL(softmax(target / temperature) ‖ softmax(logits / temperature)), mean over the batch.

    target, logits: [batch, labels]. In nats; not multiplied by temperature². The target carries
    no gradient, unless it is to learn as well.
    """
    target = target if target_learns else target.detach()
    return functional.kl_div(
        functional.log_softmax(logits / temperature, dim=-1),
        functional.log_softmax(target / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
