"""What methods share that merge a base and its fine-tuned copies, weight by weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.errors import Problem, RequestError
from bequest.core.parts import Method, Role
from bequest.core.stage import Stage
from bequest.transfer.learning import LEARNS
from bequest.transfer.weights import refuse_unlike, weights_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.transfer.bench import Bench
    from bequest.transfer.weights import Weight

    Array = NDArray[Any]

WEIGHTS = "A weight for each donor, in their order; 1 each when left out."
SCALE = "λ, by which the merged change is multiplied."
DONORS: Mapping[str, Role] = {
    "base": Role("the model that the others were fine-tuned from", answers=LEARNS, learns=True),
    "donors": Role("fine-tuned copies of it", answers=LEARNS, many=True),
}


class Merging(Method):
    """Base of merges: the base's weights are replaced, in float32 and rounded once."""

    roles: ClassVar[Mapping[str, Role]] = DONORS

    weights: tuple[float, ...] | None = Field(None, min_length=1, description=WEIGHTS)

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the merged model in the place of the base.

        Raises:
            RequestError: donors and weights are not as many, or a donor has other weights.
        """
        base, donors = bench.model("base"), bench.models("donors")
        before = weights_of(base.module)
        after = [weights_of(donor.module) for donor in donors]
        shares = self.shares(len(donors))
        for each in after:
            refuse_unlike(_shapes(before), _shapes(each))
        self.look(before, after)
        for name, weight in before.items():
            values = [each[name].floats() for each in after]
            weight.put(self.merged(name, weight.floats(), values, shares))
        yield Stage("merged", base, of="base", at=self.coordinates())

    def shares(self, donors: int) -> list[float]:
        """A weight for each donor.

        Raises:
            RequestError: there are more or fewer.
        """
        shares = [1.0] * donors if self.weights is None else list(self.weights)
        if len(shares) != donors:
            what = f"{len(shares)} weights for {donors} donors"
            raise RequestError(Problem(what, "give one for each", ("weights",)))
        return shares

    def look(self, base: Mapping[str, Weight], donors: Sequence[Mapping[str, Weight]]) -> None:
        """See all weights before the first is merged."""

    def merged(
        self, name: str, base: Array, donors: Sequence[Array], shares: Sequence[float]
    ) -> Array:
        """The new values of one weight, from those of the base and of every donor."""
        raise NotImplementedError

    def coordinates(self) -> dict[str, float | str]:
        """Where the stage lies among others of its kind."""
        return {}


def _shapes(weights: Mapping[str, Weight]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(one.tensor.shape) for name, one in weights.items()}
