"""One task with its pixels or features in several orders."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bequest.build.sequence import Changed

if TYPE_CHECKING:
    from bequest.build.classification import Classification
    from bequest.build.variants import Change


class Permutations(Changed):
    """The pixels or features of one task in a random order, a task for each order.

    Goodfellow et al. 2013 (arXiv 1312.6211) made it a test of forgetting.
    """

    orders: int = Field(2, alias="parts", ge=1, le=1000, description="How many orders.")
    seed: int = Field(0, ge=0, lt=2**31, description="Another seed gives other orders.")
    first_as_is: bool = Field(True, description="Whether the first order is the original one.")

    def count(self) -> int:
        """One for each order."""
        return self.orders

    def about(self, number: int) -> dict[str, Any]:
        """What the order is drawn from."""
        as_is = number == 0 and self.first_as_is
        return {"permuted": "as it is" if as_is else [self.seed, number]}

    def change(self, task: Classification, number: int) -> Change:
        """Put pixels or features in the order of that number."""
        import numpy as np

        from bequest.build.variants import permuted

        places = prod(task.shape[1:] if len(task.shape) == 3 else task.shape)
        order = np.random.default_rng([self.seed, number]).permutation(places)
        if number == 0 and self.first_as_is:
            order = np.arange(places)
        return lambda inputs, ids: permuted(inputs, order)
