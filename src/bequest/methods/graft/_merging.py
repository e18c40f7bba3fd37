"""What methods share that merge a base and its fine-tuned copies, weight by weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.errors import Problem, RequestError
from bequest.core.parts import Method, Role
from bequest.core.stage import Stage
from bequest.ops.statistics import KEPT, is_mean, is_statistic, mean
from bequest.transfer.learning import LEARNS
from bequest.transfer.lining_up import line_up
from bequest.transfer.weights import refuse_sick

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.transfer.bench import Bench
    from bequest.transfer.lining_up import LinedUp
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
            RequestError: donors and weights are not as many, a donor is not like the base, or what
                was merged can't be delivered.
        """
        base, donors = bench.model("base"), bench.models("donors")
        shares = self.shares(len(donors))
        lined = line_up(base, donors)
        learned = {name: weight for name, weight in lined.base.items() if weight.learned}
        self.look(learned, lined.others)
        for name, weight in learned.items():
            values = [each[name].floats() for each in lined.others]
            weight.become(self.merged(name, weight.floats(), values, shares))
            refuse_sick(name, weight.tensor)
        for note in [*lined.notes, *self._statistics(lined, shares)]:
            bench.note(note)
        yield Stage("merged", base, of="base", at=self.coordinates())

    def _statistics(self, lined: LinedUp, shares: Sequence[float]) -> list[str]:
        """Average what batch norm measured where the merge is a mean; else a note that it stays.

        No other buffer is merged: where one differs, models are refused.
        """
        found, parts = list(filter(is_statistic, lined.base)), self.parts(shares)
        if found and not is_mean(parts):
            return [KEPT.format(len(found))]
        for name in found:
            weight = lined.base[name]
            values = [each[name].floats() for each in lined.others]
            weight.put(mean(weight.floats(), values, parts))
        return []

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

    def parts(self, shares: Sequence[float]) -> Sequence[float]:
        """How much of each donor is in the merge, and of the base what is left of 1.

        Empty where that can't be said, so that the base keeps what its batch norm measured.
        """
        return ()

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
