"""Training on labels alone: the baseline every transfer is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.parts import Method
from bequest.core.stage import Stage
from bequest.lazy import functional

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench
    from bequest.transfer.terms import Term


class Finetune(Method):
    """Train the student on the labels of the task, with cross-entropy."""

    source: ClassVar[str] = "supervised learning; the baseline of every distillation paper"

    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of each label spread evenly over all labels."
    )

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the student after training."""
        student, task = bench.model("student"), bench.task("learn")

        def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            logits = model.logits(batch.inputs)
            smoothing = self.label_smoothing
            return {
                "hard": functional.cross_entropy(logits, batch.targets, label_smoothing=smoothing)
            }

        bench.fit(student, task.train, loss)
        yield Stage("trained", student, learned=task.name)
