"""How a new task's gradient stands to what old tasks need, layer by layer.

Forward transfer by scaled weight projection, and the regimes that decide on it, as in TRGP (Lin,
Yang, Fan & Zhang 2022, arXiv 2202.02931) and CUBER (the same 2022, arXiv 2211.00789). Weights and
gradients are matrices [out, in]; inner products and norms are Frobenius'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.lazy import torch
from bequest.ops.subspaces import projected

if TYPE_CHECKING:
    from collections.abc import Sequence


def projection_norms(gradient: torch.Tensor, bases: Sequence[torch.Tensor]) -> torch.Tensor:
    """Norm of the gradient's part in each old task's subspace, [tasks].

    gradient: [out, in]; bases: [in, r_j] each.
    """
    parts = [torch.linalg.vector_norm(projected(gradient, basis)) for basis in bases]
    return torch.stack(parts)


def candidates(norms: torch.Tensor, most: int) -> list[int]:
    """The at most `most` tasks with the largest of `norms` [tasks], in ascending order."""
    order = torch.argsort(norms, descending=True, stable=True)
    return sorted(order[:most].tolist())


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    """Cosine of the angle between two gradients of one shape, in [-1, 1]; 0 where one is 0."""
    product = float((one * other).sum())
    norms = float(torch.linalg.vector_norm(one) * torch.linalg.vector_norm(other))
    return product / norms if norms else 0.0


def regime(
    gradient: torch.Tensor,
    norm: float,
    sufficient: float,
    remembered: torch.Tensor | None = None,
    least_correlation: float = 0.0,
) -> int:
    """The regime of one old task at one layer: 1, 2 or 3.

    norm: of the gradient's part in the task's subspace; sufficient: the share of the gradient's
    norm above which the task has something to give (regime 1 is at or below it); remembered: the
    gradient of the old task's own loss after it was learnt, without which there is no regime 3;
    least_correlation: the cosine from which a change that helps the new task may help the old one.
    """
    # No projection is longer than what is projected, rounding aside: at 1 nothing is sufficient.
    if sufficient == 1 or norm <= sufficient * float(torch.linalg.vector_norm(gradient)):
        return 1
    if remembered is None or cosine(remembered, gradient) < least_correlation:
        return 2
    return 3


def scaled(
    weight: torch.Tensor, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> torch.Tensor:
    """The effective weight: `weight` [out, in] with its part in old subspaces scaled.

    pairs: basis B [in, r] and scaling matrix Q [r, r] of each task in regime 2 or 3. Adds
    W B Q B' − W B B' for each; with Q the identity the weight stays as it is, bit for bit.
    """
    changes = [
        weight @ basis @ (scaling - torch.eye(len(scaling)).to(scaling)) @ basis.T
        for basis, scaling in pairs
    ]
    return weight + torch.stack(changes).sum(dim=0) if changes else weight
