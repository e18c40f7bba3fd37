"""A model that never saw what another one is to forget: what unlearning is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bequest.core.parts import Method, Requires, Role
from bequest.core.stage import Stage
from bequest.transfer.learning import LEARNS, own_loss
from bequest.transfer.pool import together

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench
    from bequest.transfer.terms import Term


class Gold(Method):
    """Train the student on the samples of all tasks to retain together, and on nothing else.

    The student must not have seen what is to be forgotten: give it an input model.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "student": Role("an input model that never saw it", answers=LEARNS, learns=True)
    }
    requires: ClassVar[Requires] = Requires(purposes=("retain",))
    source: ClassVar[str] = (
        "retraining without the forget set, the reference of unlearning, as in Maini et al. 2024, "
        "TOFU, arXiv 2401.06121"
    )

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the student after training."""
        student = bench.model("student")

        def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            return {"hard": own_loss(model, batch)}

        bench.fit(student, together(bench.tasks("retain")), loss)
        yield Stage("never-saw", student)
