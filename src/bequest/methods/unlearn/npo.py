"""Negative preference optimisation: ascent that fades once an answer is less likely than before."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.methods.unlearn._reading import nll_before
from bequest.methods.unlearn._unlearning import Retaining, by_answer
from bequest.ops.unlearning import preferred

if TYPE_CHECKING:
    from bequest.methods.unlearn._unlearning import Objective
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows


class Npo(Retaining):
    """Train each answer away until it is unlikely beside what the student first said, then rest.

    The reference is the student as it came; it is asked once, so that no second model is held.
    """

    status: ClassVar[str] = "unconfirmed"
    source: ClassVar[str] = (
        "Zhang et al. 2024, Negative Preference Optimization: From Catastrophic Collapse to "
        "Effective Unlearning, arXiv 2404.05868, equation 3"
    )

    beta: float = Field(
        0.1, gt=0, description="How soon an answer counts as forgotten; near 0 it is ascent."
    )

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """(2 / beta) · mean softplus(−beta · (NLL now − NLL before)), over answers."""
        before = nll_before(bench, forget)
        return by_answer(lambda now, batch: preferred(now.sums, before(batch), self.beta))
