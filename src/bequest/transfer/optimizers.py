"""From fit settings to an optimiser and its learning rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.recipe.schema import FitSettings

_CLASSES = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}


def rate_factor(settings: FitSettings, step: int, steps: int) -> float:
    """The share of the highest learning rate at a step, after `schedule` and `warmup`."""
    rising = settings.warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    course = (step - rising) / max(1.0, steps - rising)
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * course))
    return 1 - course if settings.schedule == "linear" else 1.0


def make_optimizer(
    settings: FitSettings, parameters: Sequence[torch.nn.Parameter]
) -> torch.optim.Optimizer:
    """The optimiser of the settings, in torch's fused form."""
    chosen = settings.optimizer
    kind = getattr(torch.optim, _CLASSES[chosen.use])
    own = {"momentum": chosen.momentum} if chosen.use == "sgd" else {"betas": chosen.betas}
    optimizer: torch.optim.Optimizer = kind(
        parameters, lr=chosen.lr, weight_decay=chosen.weight_decay, fused=True, **own
    )
    return optimizer
