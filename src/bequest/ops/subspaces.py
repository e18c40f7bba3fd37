"""Subspaces that a layer's inputs span, and changes of weights that leave them alone.

A layer's weight is seen as a matrix [out, in], a convolution's flattened to in = channels · kernel;
a basis is [in, r] with orthonormal columns; a representation is [in, n], a sample or patch a
column. Gradient projection memory (Saha, Garg & Roy 2021, arXiv 2103.09762); the choice of a later
task's basis as in TRGP (Lin, Yang, Fan & Zhang 2022, arXiv 2202.02931).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.lazy import functional, torch

if TYPE_CHECKING:
    from collections.abc import Sequence

NOISE = 1e-9  # what lies below this share of the largest is rounding in float64


class Bases(NamedTuple):
    """What one task adds at one layer.

    own: the task's basis, of old and new directions mixed, [in, r]; new: its directions that no
    earlier task has, which join the accumulated subspace, [in, m].
    """

    own: torch.Tensor
    new: torch.Tensor


def projected(change: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """The part of `change` [out, in] that acts on the span of `basis` [in, r]: [out, in]."""
    return change @ basis @ basis.T


def off(change: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """`change` without what acts on the span of `basis`, whose outputs it then leaves alone."""
    return change - projected(change, basis)


def union(bases: Sequence[torch.Tensor]) -> torch.Tensor:
    """An orthonormal basis [in, r] of all that `bases`, each [in, r_j], span together.

    Projections on overlapping subspaces do not add up; a projection on this basis does their work.
    Directions whose singular value is rounding, of float64 bases, are left out.
    """
    directions, values = _directions(torch.cat(list(bases), dim=1))
    return directions[:, values > NOISE]


def first_bases(
    representation: torch.Tensor, threshold: float, *, as_released: bool = False
) -> Bases:
    """The fewest directions that hold the share `threshold`, in (0, 1], of the energy.

    representation: [in, n], float64. as_released: one direction fewer than it takes, as the code
    of GPM and TRGP does.
    """
    nothing = representation[:, :0]
    return next_bases(representation, nothing, threshold, as_released=as_released)


def next_bases(
    representation: torch.Tensor,
    accumulated: torch.Tensor,
    threshold: float,
    *,
    as_released: bool = False,
) -> Bases:
    """The directions, old and new in one pool, that hold the share `threshold` of the energy.

    representation: [in, n], float64; accumulated: orthonormal basis of all old subspaces, [in, R].
    as_released: TRGP's code leaves the strongest new direction out of what is accumulated (and
    one direction out of a first basis).
    """
    there = accumulated.shape[1]
    old = (accumulated.T @ representation).square().sum(dim=1)
    rest = _outside(representation, accumulated)
    directions, values = _directions(rest)
    # A direction of rounding noise may lie within the old ones, and a threshold of 1 asks for it.
    heard = values > NOISE * torch.linalg.vector_norm(representation)
    directions, values = directions[:, heard], values[heard]
    pool = torch.cat([old, values.square()])
    chosen = _strongest(pool, threshold * float(representation.square().sum()))
    if as_released and not there:
        chosen = chosen[:-1]
    columns = torch.cat([accumulated, directions], dim=1)
    first_new = there + (1 if as_released and there else 0)
    return Bases(
        columns[:, chosen].contiguous(), columns[:, chosen[chosen >= first_new]].contiguous()
    )


def patches(inputs: torch.Tensor, layer: torch.nn.Conv2d) -> torch.Tensor:
    """What a convolution multiplies its weights with, [in, n], a patch a column.

    inputs: [batch, channels, height, width]. Padded as the layer pads; the groups of a grouped
    convolution count as patches of their own.
    """
    size, dilation, stride = layer.kernel_size, layer.dilation, layer.stride
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = functional.pad(inputs, _padding(layer), mode=mode)
    unfolded: Any = functional.unfold(padded, size, dilation=dilation, stride=stride)
    per_group = unfolded.unflatten(1, (layer.groups, -1))  # [batch, groups, in, places]
    columns: torch.Tensor = per_group.movedim(2, 0).flatten(1)
    return columns


def condensed(representation: torch.Tensor) -> torch.Tensor:
    """A representation of at most `in` columns with the same directions and energies.

    The triangular factor of its transpose: R R' stays as it is, so many patches need no memory.
    """
    if representation.shape[1] <= representation.shape[0]:
        return representation
    factor: torch.Tensor = torch.linalg.qr(representation.T, mode="r").R
    return factor.T.contiguous()


def _directions(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Left singular vectors [in, m], a direction a column, and their singular values, falling."""
    found = torch.linalg.svd(matrix, full_matrices=False)
    return found.U, found.S


def _outside(representation: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """What of the representation no direction of `basis` holds.

    Taken away twice: after the first time, rounding of the size of the representation is left.
    """
    rest = representation - basis @ (basis.T @ representation)
    return rest - basis @ (basis.T @ rest)


def _strongest(energies: torch.Tensor, wanted: float) -> torch.Tensor:
    """Indices of the fewest largest energies whose sum reaches `wanted`, largest first; all of
    them where rounding keeps the sum below it."""
    order = torch.argsort(energies, descending=True, stable=True)
    reached = torch.cumsum(energies[order], dim=0) < wanted
    return order[: int(reached.sum()) + 1]


def _padding(layer: torch.nn.Conv2d) -> list[int]:
    """Left, right, top and bottom, the order in which `functional.pad` wants them."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    sides: list[int] = []
    for axis in (1, 0):
        if layer.padding == "same":
            whole = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
            sides += [whole // 2, whole - whole // 2]
        else:
            sides += [int(layer.padding[axis])] * 2
    return sides
