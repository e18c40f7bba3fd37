"""A change of a matrix as a few directions, their factors in few bits.

Δ ≈ U Σ Vᵀ; directions stand in groups from the largest σ downwards, each with its own bits, as in
GraftLLM (Du et al. 2025, arXiv 2505.18502) after Delta-CoMe (Ping et al. 2024, 2406.08903).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bequest.ops.gptq import Quantised, gptq

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bequest.ops.gptq import Rounding

    Array = NDArray[Any]

EXACT = (16, 32)  # bits of factors that are floats, not codes
_WIDE = 2048  # sides up to this are taken apart exactly
_OVERSAMPLED, _TURNS = 16, 4
_ROUNDING = 1e-6  # what lies below this share of the largest σ is float32's rounding


class Factors(NamedTuple):
    """u: [out, r]; sigma: [r], falling; v: [in, r]."""

    u: Array
    sigma: Array
    v: Array


class Group(NamedTuple):
    """Directions in a row that have the same bits: 1 to 8, or 16 or 32 for floats of that size."""

    bits: int
    columns: int


class Part(NamedTuple):
    """One group of directions: Uᵀ and Vᵀ, a direction a row, as codes or as they are.

    u: of [out, columns], v: of [columns, in], or float arrays [out, columns] and [columns, in];
    sigma: never rounded, [columns].
    """

    group: Group
    u: Any
    sigma: Array
    v: Any

    def left(self) -> Array:
        """U as it is kept: [out, columns]."""
        return self.u.values() if isinstance(self.u, Quantised) else self.u

    def right(self) -> Array:
        """V as it is kept: [in, columns]."""
        return (self.v.values() if isinstance(self.v, Quantised) else self.v).T

    def change(self) -> Array:
        """U Σ Vᵀ: [out, in]."""
        return (self.left() * self.sigma) @ self.right().T


def factored(delta: Array, most: int | None = None) -> Factors:
    """The largest `most` directions of a matrix, all that are more than rounding when None.

    Exactly where a side is at most 2,048 wide; otherwise by subspace iteration from a fixed start
    (Halko, Martinsson & Tropp 2011, algorithm 4.4) where few directions are wanted.
    """
    side = min(delta.shape)
    most = side if most is None else min(most, side)
    if side > _WIDE and most + _OVERSAMPLED < side // 2:
        basis = _basis(delta, most + _OVERSAMPLED)
        inner, sigma, rows = np.linalg.svd(basis.T @ delta, full_matrices=False)
        return _real(Factors(basis @ inner, sigma, rows.T), most)
    if delta.shape[0] > delta.shape[1]:
        v, sigma, u = _by_shorter_side(delta.T)
        return _real(Factors(u, sigma, v), most)
    return _real(_by_shorter_side(delta), most)


def _by_shorter_side(delta: Array) -> Factors:
    """All directions, from the eigenvectors of δ δᵀ in float64: a third of the time of an SVD."""
    wide = delta.astype(np.float64)
    energy, vectors = np.linalg.eigh(wide @ wide.T)
    sigma, u = np.sqrt(np.maximum(energy[::-1], 0)), vectors[:, ::-1]
    return Factors(u, sigma, wide.T @ u / np.maximum(sigma, np.finfo(np.float32).tiny))


def _real(found: Factors, most: int) -> Factors:
    """At most so many directions, of which none is rounding, in float32."""
    sigma = found.sigma
    rank = min(most, int((sigma > _ROUNDING * sigma[0]).sum())) if len(sigma) else 0
    u, sigma, v = (each[..., :rank].astype(np.float32) for each in found)
    return Factors(u, sigma, v)


def rank_of_energy(sigma: Array, share: float) -> int:
    """The smallest k with Σ_{i≤k} σ² ≥ β Σ σ²; all for β = 1."""
    energy = np.cumsum(np.asarray(sigma, np.float64) ** 2)
    if share >= 1 or not len(energy):
        return len(energy)
    return int(np.searchsorted(energy, share * energy[-1])) + 1


def grouped(rank: int, bits: Sequence[tuple[int, float]]) -> list[Group]:
    """So many directions in groups: bits and share of each, from the largest σ downwards.

    A group ends at the next whole direction, so that few directions have one in the first.
    """
    groups, begin, share = [], 0, 0.0
    for number, (each, part) in enumerate(bits):
        share += part
        last = number == len(bits) - 1
        end = rank if last else min(rank, int(np.ceil(round(share * rank, 6))))
        if end > begin:
            groups.append(Group(each, end - begin))
        begin = end
    return groups


def quantised(
    factors: tuple[Array, Array, Array], groups: Sequence[Group], moments: Array, how: Rounding
) -> list[Part]:
    """The directions of all groups in their bits; V first, then U against what V has become.

    factors: U, Σ, V, of which as many directions are used as the groups have; moments: 2 / n Σ x xᵀ
        of the layer's inputs, [in, in], the same for all groups.
    """
    ends = np.cumsum([group.columns for group in groups])
    bits = np.repeat([group.bits for group in groups], [group.columns for group in groups])
    # The rows of Vᵀ don't depend on each other, so all that are rounded go through it together.
    coded = np.flatnonzero(~np.isin(bits, EXACT))
    v = gptq(factors[2][:, coded].T, moments, 2 ** bits[coded] - 1, how) if len(coded) else None
    parts, done = [], 0
    for group, end in zip(groups, ends, strict=True):
        own = Factors(*(each[..., end - group.columns : end] for each in factors))
        if group.bits in EXACT or v is None or not group.columns:
            parts.append(Part(group, own.u, own.sigma, own.v.T))
            continue
        parts.append(_rounded(group, own, v.rows(done, done + group.columns), moments, how))
        done += group.columns
    return parts


def _rounded(group: Group, own: Factors, v: Quantised, moments: Array, how: Rounding) -> Part:
    seen = own.sigma[:, None] * v.values()  # diag(σ) V̂ᵀ: [columns, in]
    inputs = seen @ moments @ seen.T
    u = gptq(own.u, inputs, np.full(len(own.u), 2**group.bits - 1), how)
    return Part(group, u, own.sigma, v)


def _basis(delta: Array, width: int) -> Array:
    """Orthonormal columns that span about the largest directions: [out, width]."""
    start = np.random.default_rng(0).standard_normal((delta.shape[1], width), np.float32)
    basis, _ = np.linalg.qr(delta @ start)
    for _ in range(_TURNS):
        other, _ = np.linalg.qr(delta.T @ basis)
        basis, _ = np.linalg.qr(delta @ other)
    return basis
