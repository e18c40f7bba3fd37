"""Temperature scaling: how far a classifier's logits are to be divided for it to be calibrated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_WIDEST = math.log(100.0)
_HALVINGS = 40


def fitted_temperature(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """The temperature with the least cross-entropy of logits / temperature; Guo et al. 2017.

    logits: [n, labels]; targets: int64 [n]. Between 0.01 and 100. The cross-entropy is convex in
    the inverse temperature, so halving an interval by the sign of its slope finds the least.
    """
    precise = logits.double()
    of_right = precise.gather(1, targets.unsqueeze(1)).squeeze(1)
    low, high = -_WIDEST, _WIDEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = ((precise * math.exp(middle)).softmax(dim=1) * precise).sum(dim=1)
        low, high = (low, middle) if float((expected - of_right).mean()) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)
