"""Averages of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.errors import Problem, RequestError
from bequest.methods.graft._merging import Merging
from bequest.ops.deltas import linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

_NOTHING = 1e-8


class Linear(Merging):
    """Average the weights of fine-tuned models: a soup."""

    source: ClassVar[str] = "Wortsman et al. 2022, Model soups, arXiv 2203.05482"

    normalise: bool = Field(True, description="Whether the sum is divided by the weights' sum.")

    def merged(
        self, name: str, base: Array, donors: Sequence[Array], shares: Sequence[float]
    ) -> Array:
        """Σ w θ / Σ w.

        Raises:
            RequestError: the weights sum up to nothing, so that no average is.
        """
        if self.normalise and abs(sum(shares)) < _NOTHING:
            fix = "write other `weights`, or `normalise: false` for the sum"
            raise RequestError(Problem("the weights sum up to 0", fix, ("weights",)))
        return linear(donors, shares, normalise=self.normalise)

    def parts(self, shares: Sequence[float]) -> Sequence[float]:
        """w / Σ w, or w."""
        total = sum(shares) if self.normalise else 1.0
        return [share / total for share in shares]
