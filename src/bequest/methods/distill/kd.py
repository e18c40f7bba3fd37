"""Knowledge distillation (Hinton, Vinyals & Dean 2015): the teacher's softened answers as targets.

As coded in torchdistill (Matsubara 2020): total = alpha · CE + beta · temperature² · KL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.parts import Method, Role
from bequest.core.stage import Stage
from bequest.lazy import functional
from bequest.ops.divergences import kl_from_logits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench
    from bequest.transfer.terms import Term


class Kd(Method):
    """Distil a teacher into a student through temperature-scaled soft labels."""

    source: ClassVar[str] = "Hinton, Vinyals & Dean 2015, arXiv 1503.02531, section 2"
    roles: ClassVar[Mapping[str, Role]] = {
        "teacher": Role("the trained model whose answers are learnt"),
        "student": Role("the model that learns", learns=True),
    }

    temperature: float = Field(
        4.0, gt=0, description="Softens both distributions; 1 leaves them as they are."
    )
    alpha: float = Field(0.1, ge=0, le=1, description="Weight of the cross-entropy with labels.")
    beta: float | None = Field(
        None, ge=0, description="Weight of the soft labels; 1 − alpha when left out."
    )
    as_released: bool = Field(
        False, description="With alpha 0, leave beta and temperature² out, as torchdistill does."
    )

    def terms(
        self, logits: torch.Tensor, soft: torch.Tensor, targets: torch.Tensor
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """Both terms of the loss with their weights.

        logits, soft: student's and teacher's scores, [batch, labels]; targets: int64 [batch].
        The soft term is multiplied by temperature², so that its gradient keeps its size when the
        temperature changes (section 2, last paragraph).
        """
        divergence = kl_from_logits(soft, logits, self.temperature)
        if self.as_released and self.alpha == 0:
            return {"soft": (1.0, divergence)}
        beta = 1 - self.alpha if self.beta is None else self.beta
        softened = {"soft": (beta * self.temperature**2, divergence)}
        if self.alpha == 0:
            return softened
        return {"hard": (self.alpha, functional.cross_entropy(logits, targets)), **softened}

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the student after distillation. The teacher is asked once a sample."""
        teacher, student = bench.model("teacher"), bench.model("student")
        task = bench.task("learn")
        soft = bench.recall(teacher, task.train)

        def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            return self.terms(model.logits(batch.inputs), soft(batch), batch.targets)

        bench.fit(student, task.train, loss)
        yield Stage("distilled", student, learned=task.name)
