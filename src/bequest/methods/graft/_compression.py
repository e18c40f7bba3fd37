"""The change of a model's weights as a pack: which form each gets, and the pack's facts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.core.pack import Pack
from bequest.methods.graft._parts import within
from bequest.ops import forms
from bequest.ops.deltas import Trim, cut
from bequest.ops.directions import code_bits, directions
from bequest.ops.factors import Factors, factored, grouped, quantised, rank_of_energy
from bequest.store.packs import size_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.methods.graft._parts import Part, Plan
    from bequest.ops.factors import Group
    from bequest.ops.factors import Part as Directed
    from bequest.ops.gptq import Rounding
    from bequest.ops.layout import Kept

    Array = NDArray[Any]

SKILL = "skill"
Bits = Literal[1, 2, 3, 4, 5, 6, 7, 8, 16, 32]
BITS: tuple[tuple[Bits, float], ...] = ((8, 0.02), (4, 0.18), (2, 0.8))


@dataclass(frozen=True)
class Settings:
    """How much is kept, and in how many bits.

    budget: share of the change's size in float16 that the pack may have; None: by the rest.
    alpha: share of entries kept of what is pruned; beta: share of the energy that is kept of other
    matrices, where rank_attention or rank_mlp say no number of directions; bits: of the groups of
    directions, from the largest down, with the share that each has.
    """

    rounding: Rounding
    budget: float | None = None
    alpha: float = 0.5
    beta: float = 0.9
    rank_attention: int | None = None
    rank_mlp: int | None = None
    bits: Sequence[tuple[int, float]] = BITS


@dataclass
class Compression:
    """Takes changes in, one by one, and gives a pack.

    shapes: of all weights that change, by name; parts: what each matrix is.
    """

    settings: Settings
    shapes: Mapping[str, tuple[int, ...]]
    parts: Mapping[str, Part]
    plan: Plan | None = field(init=False)
    kept: dict[str, Kept] = field(default_factory=dict)
    _codes: int = 0

    def __post_init__(self) -> None:
        told, budget = self.settings, self.settings.budget
        size = told.rounding.groupsize
        self.plan = within(budget, self.shapes, self.parts, told.bits, size) if budget else None

    def factored_names(self) -> list[str]:
        """The matrices that are taken apart."""
        return [name for name in self.shapes if self._is_factored(name)]

    def take(self, name: str, delta: Array) -> Kept:
        """Keep a change that is not taken apart: pruned, or whole."""
        if self.parts.get(name, "whole") == "whole":
            self.kept[name] = forms.whole(delta)
            return self.kept[name]
        count = (
            self.plan.entries[name] if self.plan else entries_of(self.settings.alpha, delta.size)
        )
        self.kept[name] = forms.sparse(delta, largest(delta, count))
        return self.kept[name]

    def groups(self, name: str, factors: Factors) -> list[Group]:
        """The groups of a matrix's directions."""
        told = self.settings
        if self.plan:
            return self.plan.groups[name](factors.sigma.tolist())
        fixed = told.rank_attention if self.parts[name] == "attention" else told.rank_mlp
        rank = rank_of_energy(factors.sigma, told.beta) if fixed is None else fixed
        return grouped(min(rank, len(factors.sigma)), told.bits)

    def rounded(
        self,
        name: str,
        factors: Factors,
        done: Sequence[Directed],
        groups: Sequence[Group],
        moments: Array | None,
    ) -> list[Directed]:
        """The next groups of a matrix's directions in their bits.

        done: the groups before; moments: of the layer's inputs, None where nobody saw them.

        Raises:
            RequestError: the inputs are not finite.
        """
        begin = sum(part.group.columns for part in done)
        seen = np.eye(self.shapes[name][1]) if moments is None else moments
        rest = Factors(*(each[..., begin:] for each in factors))
        try:
            return quantised(rest, groups, seen, self.settings.rounding)
        except np.linalg.LinAlgError as error:
            what = f"the inputs of `{name}` can't calibrate it: {error}"
            raise RequestError(Problem(what)) from error

    def as_kept(self, name: str, parts: Sequence[Directed]) -> Kept:
        """Some groups as they lie in a pack."""
        out, width = self.shapes[name]
        return directions((out, width), parts, self.settings.rounding.groupsize)

    def take_apart(self, name: str, parts: Sequence[Directed]) -> None:
        """Keep all groups of a matrix."""
        out, width = self.shapes[name]
        self._codes += code_bits((out, width), [part.group for part in parts])
        self.kept[name] = self.as_kept(name, parts)

    def pack(self, base: str, made: Mapping[str, Any]) -> Pack:
        """All that was kept, for the base of this fingerprint."""
        return skill(self.kept, self.shapes, base, {**made, "code_bits": self._codes})

    def _is_factored(self, name: str) -> bool:
        return self.parts.get(name) in ("attention", "mlp")


def directions_of(delta: Array, name: str) -> Factors:
    """The directions of a change.

    Raises:
        RequestError: it can't be taken apart.
    """
    try:
        return factored(delta)
    except np.linalg.LinAlgError as error:
        raise RequestError(
            Problem(f"the change of `{name}` can't be taken apart: {error}")
        ) from error


def entries_of(share: float, size: int) -> int:
    """⌈share · size⌉; what floats add to a whole number makes it no larger."""
    return math.ceil(round(share * size, 6))


def largest(delta: Array, count: int) -> NDArray[np.bool_]:
    """Which entries are the `count` of largest magnitude; of equal ones the first."""
    return Trim(cut(lambda: [delta], count)).keep(delta)


def skill(
    kept: Mapping[str, Kept],
    shapes: Mapping[str, tuple[int, ...]],
    base: str,
    made: Mapping[str, Any],
) -> Pack:
    """A pack of kind `skill`, with how large the change is in float16 and the pack beside it.

    shapes: of all weights that change, those too of which nothing is kept.
    """
    about = {
        "parts": {name: dict(one.about) for name, one in kept.items()},
        "full_size": 2 * sum(map(math.prod, shapes.values())),
        **made,
    }
    return Pack(SKILL, {name: one.data for name, one in kept.items()}, about, base)


def share_of(pack: Pack) -> float:
    """The file's size as a share of the whole change in float16."""
    return size_of(pack) / int(pack.about["full_size"])
