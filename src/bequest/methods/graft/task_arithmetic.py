"""Sums of what fine-tuning changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.methods.graft._merging import SCALE, Merging
from bequest.ops.deltas import task_arithmetic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]


class TaskArithmetic(Merging):
    """Add what each fine-tuned model has beyond the base, scaled; a negative weight takes away."""

    source: ClassVar[str] = (
        "Ilharco et al. 2022, Editing Models with Task Arithmetic, arXiv 2212.04089"
    )

    scale: float = Field(1.0, description=SCALE)

    def merged(
        self, name: str, base: Array, donors: Sequence[Array], shares: Sequence[float]
    ) -> Array:
        """θ₀ + λ Σ w (θ − θ₀)."""
        return task_arithmetic(base, [donor - base for donor in donors], shares, self.scale)

    def parts(self, shares: Sequence[float]) -> Sequence[float]:
        """λ w."""
        return [self.scale * share for share in shares]

    def coordinates(self) -> dict[str, float | str]:
        """The scale."""
        return {"scale": self.scale}
