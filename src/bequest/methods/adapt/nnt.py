"""NNt: a network on the few labels of the target alone, which any source must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.parts import Method, Requires
from bequest.core.stage import Stage
from bequest.lazy import functional
from bequest.methods.adapt._heterogeneous import PENALTY, ProjectingNetwork, squared_weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench
    from bequest.transfer.terms import Term


class NntNetwork(ProjectingNetwork):
    """One hidden layer with LeakyReLU on rows of length 1, and a linear classifier (NNt)."""


class Nnt(Method):
    """Train on the labelled samples of the target alone: the baseline of adaptation."""

    source: ClassVar[str] = (
        "the target-only network of Yao et al. 2025, arXiv 2502.13573, from its released code"
    )
    requires: ClassVar[Requires] = Requires(purposes=("target",))
    fit_defaults: ClassVar[Mapping[str, Any]] = {
        "steps": 500,
        "optimizer": {"use": "adam", "lr": 1e-2},
    }

    penalty: float = Field(1e-3, ge=0, description=PENALTY)

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the classifier after training on full batches."""
        student, target = bench.model("student"), bench.task("target")
        labelled = target.train.all()

        def given(step: int, modules: Any, rng: torch.Generator) -> Batch:
            return labelled

        def loss(model: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            logits = model.logits(batch.inputs)
            return {
                "target": functional.cross_entropy(logits, batch.targets),
                "penalty": (self.penalty / 2, squared_weights(model.module)),
            }

        bench.fit(student, given, loss)
        yield Stage("alone", student, learned=target.name)
