"""What batch norm measures of its inputs, told apart from weights by the names that torch gives.

Means and variances may be averaged, but not subtracted or extrapolated: a variance is never
negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

_MEAN, _VARIANCE, _COUNT = "running_mean", "running_var", "num_batches_tracked"
_CLOSE = 1e-6
KEPT = (
    "{} tensors of means and variances stay the base's: batch norm measured them, and this merge "
    "is not a mean of models"
)


def is_statistic(name: str) -> bool:
    """Whether a tensor of this name is a mean or a variance that batch norm measured."""
    return _last(name) in (_MEAN, _VARIANCE)


def is_variance(name: str) -> bool:
    """Whether a tensor of this name is a variance that batch norm measured."""
    return _last(name) == _VARIANCE


def is_count(name: str) -> bool:
    """Whether a tensor of this name counts the batches that batch norm saw."""
    return _last(name) == _COUNT


def is_mean(shares: Sequence[float]) -> bool:
    """Whether models with these shares, and the base with the rest of 1, make up a mean."""
    return bool(shares) and min(shares) >= 0 and sum(shares) <= 1 + _CLOSE


def mean(base: Array, models: Sequence[Array], shares: Sequence[float]) -> Array:
    """Σ s θ + (1 − Σ s) θ₀ in float32; of shares for which `is_mean` holds."""
    rest = 1 - sum(shares)
    parts = [(share, model) for share, model in zip(shares, models, strict=True) if share]
    if rest > _CLOSE:
        parts.append((rest, base))
    total: Array = np.zeros_like(base)
    for share, part in parts:
        total = total + np.float32(share) * part
    return total


def _last(name: str) -> str:
    return name.rpartition(".")[2]
