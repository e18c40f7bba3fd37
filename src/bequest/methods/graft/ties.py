"""Merging without the entries that contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from bequest.core.errors import Problem, RequestError
from bequest.methods.graft._merging import SCALE, Merging
from bequest.ops.deltas import Trim, cut, kept_entries, ties, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.ops.deltas import Cut
    from bequest.transfer.weights import Weight

    Array = NDArray[Any]


class Ties(Merging):
    """Trim each change to its largest entries, elect a sign for each, and average what agrees.

    Changes are trimmed as a whole, as in the paper; mergekit trims tensor by tensor.
    """

    source: ClassVar[str] = "Yadav et al. 2023, TIES-Merging, arXiv 2306.01708"

    density: float = Field(0.2, gt=0, le=1, description="Share of entries kept of each change.")
    scale: float = Field(1.0, description=SCALE)
    trim: Literal["whole", "tensor"] = Field(
        "whole", description="Whether entries compete in the whole change or in each tensor."
    )  # fmt: skip
    consensus: Literal["sum", "count"] = Field(
        "sum", description="The elected sign is that of the sum, or of the majority."
    )
    normalise: bool = Field(True, description="Whether what agrees is averaged or added up.")

    _trims: list[Trim] = PrivateAttr(default_factory=list)

    def look(self, base: Mapping[str, Weight], donors: Sequence[Mapping[str, Weight]]) -> None:
        """Find the smallest magnitude that is kept of each donor's change."""
        if self.trim == "whole":
            self._trims[:] = [Trim(self._cut(base, donor)) for donor in donors]

    def merged(
        self, name: str, base: Array, donors: Sequence[Array], shares: Sequence[float]
    ) -> Array:
        """θ₀ + λ times the mean of the entries that have the elected sign."""
        deltas = [donor - base for donor in donors]
        if self.trim == "whole":
            kept = [np.where(trim.keep(delta), delta, np.float32(0))
                    for trim, delta in zip(self._trims, deltas, strict=True)]  # fmt: skip
        else:
            kept = [self._trimmed(name, delta) for delta in deltas]
        found = ties(kept, shares, normalise=self.normalise, consensus=self.consensus)
        return base + np.float32(self.scale) * found

    def parts(self, shares: Sequence[float]) -> Sequence[float]:
        """λ w, over Σ w if normalised: statistics are averaged, not trimmed."""
        total = sum(shares) if self.normalise else 1.0
        return [self.scale * share / total for share in shares] if total else ()

    def coordinates(self) -> dict[str, float | str]:
        """Density and scale."""
        return {"density": self.density, "scale": self.scale}

    def _cut(self, base: Mapping[str, Weight], donor: Mapping[str, Weight]) -> Cut:
        def parts() -> Iterator[Array]:
            for name, weight in base.items():
                yield donor[name].floats() - weight.floats()

        size = sum(weight.tensor.numel() for weight in base.values())
        try:
            return cut(parts, kept_entries(self.density, size))
        except ValueError as error:
            raise RequestError(Problem(str(error), field=("density",))) from error

    def _trimmed(self, name: str, delta: Array) -> Array:
        try:
            return trimmed(delta, self.density)
        except ValueError as error:
            raise RequestError(Problem(f"`{name}`: {error}", field=("density",))) from error
