"""How far one distribution lies from another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from bequest.lazy import functional, torch

if TYPE_CHECKING:
    Divergence = Literal["forward", "reverse", "jensen_shannon"]


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


def divergence_sum(
    target: torch.Tensor, logits: torch.Tensor, kind: Divergence, temperature: float = 1.0
) -> torch.Tensor:
    """How far two distributions lie apart, summed over rows, in nats; one number.

    target, logits: [rows, labels], divided by `temperature`; the target carries no gradient.
    forward: KL(target ‖ other), which wants all of the target covered; reverse: KL(other ‖ target),
    which wants nothing outside it; jensen_shannon: half of each to their mean (Lin 1991).
    """
    p = functional.log_softmax(target.detach() / temperature, dim=-1)
    q = functional.log_softmax(logits / temperature, dim=-1)
    if kind == "forward":
        return _kl_sum(p, q)
    if kind == "reverse":
        return _kl_sum(q, p)
    middle = torch.logaddexp(p, q) - math.log(2)
    return (_kl_sum(p, middle) + _kl_sum(q, middle)) / 2


def _kl_sum(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return functional.kl_div(q, p, reduction="sum", log_target=True)
