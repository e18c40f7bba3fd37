"""Training on labels alone: the baseline every transfer is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.parts import Method, Role
from bequest.core.stage import Stage
from bequest.transfer.learning import LEARNS, own_loss
from bequest.transfer.pool import only, together

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench
    from bequest.transfer.terms import Term


class Finetune(Method):
    """Train the student on the labels of the task, or on its texts, with cross-entropy."""

    source: ClassVar[str] = "supervised learning; the baseline of every distillation paper"
    roles: ClassVar[Mapping[str, Role]] = {
        "student": Role("the model that learns", answers=LEARNS, learns=True)
    }

    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of each label spread evenly over all labels."
    )

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the student after training, on the samples of all tasks together."""
        student, tasks = bench.model("student"), bench.tasks("learn")

        def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            return {"hard": own_loss(model, batch, self.label_smoothing)}

        bench.fit(student, together(tasks), loss)
        yield Stage("trained", student, learned=only(tasks))
