"""Knowledge distillation (Hinton, Vinyals & Dean 2015): the teacher's softened answers as targets.

As coded in torchdistill (Matsubara 2020): total = alpha · CE + beta · temperature² · KL. For models
of language the same for each token, with the divergences and the student's own texts of Agarwal et
al. 2024 (On-Policy Distillation of Language Models).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bequest.core.parts import Method, Role
from bequest.core.stage import Stage
from bequest.lazy import functional
from bequest.methods.distill._tokens import TokenDistillation
from bequest.ops.divergences import divergence_sum, kl_from_logits
from bequest.transfer.learning import LEARNS
from bequest.transfer.pool import only, together

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench
    from bequest.transfer.fit import Loss
    from bequest.transfer.streams import Rows
    from bequest.transfer.terms import Term


class Kd(Method):
    """Distil a teacher into a student through temperature-scaled soft labels."""

    source: ClassVar[str] = "Hinton, Vinyals & Dean 2015, arXiv 1503.02531, section 2"
    roles: ClassVar[Mapping[str, Role]] = {
        "teacher": Role("the trained model whose answers are learnt", answers=LEARNS),
        "student": Role("the model that learns", answers=LEARNS, learns=True),
    }

    temperature: float = Field(
        4.0, gt=0, description="Softens both distributions; 1 leaves them as they are."
    )
    alpha: float = Field(0.1, ge=0, le=1, description="Weight of the cross-entropy with labels.")
    beta: float | None = Field(
        None, ge=0, description="Weight of the soft labels; 1 − alpha when left out."
    )
    divergence: Literal["forward", "reverse", "jensen_shannon"] = Field(
        "forward", description="KL(teacher ‖ student), KL(student ‖ teacher), or halfway."
    )
    on_policy: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Language models only: share of the steps on texts that the student has gone "
        "on with itself, judged by the teacher as it reads them.",
    )
    as_released: bool = Field(
        False, description="With alpha 0, leave beta and temperature² out, as torchdistill does."
    )

    @property
    def soft_weight(self) -> float:
        """Weight of the soft term: beta · temperature²."""
        beta = 1 - self.alpha if self.beta is None else self.beta
        return beta * self.temperature**2

    def terms(
        self, logits: torch.Tensor, soft: torch.Tensor, targets: torch.Tensor
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """Both terms of the loss with their weights.

        logits, soft: student's and teacher's scores, [batch, labels]; targets: int64 [batch].
        The soft term is multiplied by temperature², so that its gradient keeps its size when the
        temperature changes (section 2, last paragraph).
        """
        if self.divergence == "forward":
            divergence = kl_from_logits(soft, logits, self.temperature)
        else:
            whole = divergence_sum(soft, logits, self.divergence, self.temperature)
            divergence = whole / len(logits)
        if self.as_released and self.alpha == 0:
            return {"soft": (1.0, divergence)}
        softened = {"soft": (self.soft_weight, divergence)}
        if self.alpha == 0:
            return softened
        return {"hard": (self.alpha, functional.cross_entropy(logits, targets)), **softened}

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the student after distillation, on the samples of all tasks together.

        The teacher is asked once a sample.
        """
        student, tasks = bench.model("student"), bench.tasks("learn")
        rows = together(tasks)
        bench.fit(student, rows, self._loss(bench, rows))
        yield Stage("distilled", student, learned=only(tasks))

    def _loss(self, bench: Bench, rows: Rows) -> Loss:
        teacher, student = bench.model("teacher"), bench.model("student")
        if "logits" not in teacher.answers or "logits" not in student.answers:
            return TokenDistillation(self, bench, rows).loss
        soft = bench.recall(teacher, rows)

        def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            return self.terms(model.logits(batch.inputs), soft(batch), batch.targets)

        return loss
