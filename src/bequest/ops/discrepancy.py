"""How far two domains lie apart in a space they share: overall, and class by class.

Weights say how much each row belongs to each class: one-hot for labels, probabilities for soft
ones, 0 for rows that are not to count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

_LEAST = 1e-30  # only keeps what is masked from being divided by zero


class Discrepancy(NamedTuple):
    """Squared distances between means of two domains; single numbers.

    marginal: between the means of all rows; conditional: between the means of each class, summed.
    classes: how many there are.
    """

    marginal: torch.Tensor
    conditional: torch.Tensor
    classes: int

    @property
    def mean(self) -> torch.Tensor:
        """The mean of all squared distances: one of the domains, one of each class."""
        return (self.marginal + self.conditional) / (self.classes + 1)


def soft_mmd(
    source: torch.Tensor,
    source_weights: torch.Tensor,
    target: torch.Tensor,
    target_weights: torch.Tensor,
) -> Discrepancy:
    """Maximum mean discrepancy with a linear kernel, marginal and by soft classes.

    source: [n, width]; source_weights: [n, classes]; target and target_weights alike, [m, …].
    A class that no row of one of the domains belongs to is passed over.

    Source: Yao et al. 2019, Heterogeneous Domain Adaptation via Soft Transfer Network,
    arXiv 1908.10552.
    """
    here, there = class_mass(source_weights), class_mass(target_weights)
    apart = class_means(source, source_weights) - class_means(target, target_weights)
    occurs = ((here > 0) & (there > 0)).to(apart.dtype)
    return Discrepancy(
        (source.mean(dim=0) - target.mean(dim=0)).square().sum(),
        (apart.square().sum(dim=1) * occurs).sum(),
        source_weights.shape[1],
    )


def class_means(rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean of the rows of each class: [classes, width]; 0 where no row belongs to one."""
    return weights.T @ rows / class_mass(weights).clamp_min(_LEAST)[:, None]


def class_mass(weights: torch.Tensor) -> torch.Tensor:
    """How much belongs to each class: [classes]."""
    return weights.sum(dim=0)
