"""How far one distribution lies from another.

Scores may be −∞, which is a probability of zero: 0 · ln 0 = 0. What the second distribution of a
KL rules out and the first does not is infinitely far.
"""

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
    p, q = _without_nothing(
        functional.log_softmax(target / temperature, dim=-1),
        functional.log_softmax(logits / temperature, dim=-1),
    )
    return functional.kl_div(q, p, reduction="batchmean", log_target=True)


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
    neither = p.isneginf() & q.isneginf()  # where the gradient of their mean would be NaN
    middle = torch.logaddexp(p.masked_fill(neither, 0), q.masked_fill(neither, 0)) - math.log(2)
    return (_kl_sum(p, middle) + _kl_sum(q, middle)) / 2


def _kl_sum(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    p, q = _without_nothing(p, q)
    return functional.kl_div(q, p, reduction="sum", log_target=True)


def _without_nothing(p: torch.Tensor, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities whose p · (ln p − ln q) is 0, and not NaN, where p is 0."""
    nothing = p.isneginf()
    return p.masked_fill(nothing, torch.finfo(p.dtype).min), q.masked_fill(nothing, 0)
