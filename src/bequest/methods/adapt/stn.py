"""STN (Yao et al. 2019): both domains are projected into a space that neither has given."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.parts import Method, Requires, Role
from bequest.core.stage import Stage
from bequest.lazy import functional, torch
from bequest.methods.adapt._heterogeneous import (
    PENALTY,
    ProjectingNetwork,
    data_problems,
    everything,
    one_hot,
    projector,
    squared_weights,
    unit_rows,
)
from bequest.ops.discrepancy import soft_mmd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.core.errors import Problem
    from bequest.core.parts import ModelSpec
    from bequest.methods.adapt._heterogeneous import Everything
    from bequest.transfer.bench import Bench, TaskView
    from bequest.transfer.terms import Term


class StnNetwork(ProjectingNetwork):
    """Two layers into a shared space and a linear classifier, on rows of length 1 (STN)."""

    halfway: ClassVar[bool] = True


class Stn(Method):
    """Learn to project a source and a target of few labels into one space with one classifier.

    Soft labels of the target count more with every step. The released code puts a LeakyReLU behind
    the classifier, which is linear here. The paper itself was not read, and on the controlled
    problem this does not beat the target alone under every seed: no claim of accuracy is made.
    """

    status: ClassVar[str] = "unconfirmed"

    source: ClassVar[str] = (
        "Yao et al. 2019, Heterogeneous Domain Adaptation via Soft Transfer Network, "
        "arXiv 1908.10552; settings from the code of arXiv 2502.13573"
    )
    roles: ClassVar[Mapping[str, Role]] = {
        "student": Role("the classifier of the target", answers=("project",), learns=True)
    }
    requires: ClassVar[Requires] = Requires(purposes=("source", "target"))
    fit_defaults: ClassVar[Mapping[str, Any]] = {
        "steps": 300,
        "optimizer": {"use": "adam", "lr": 1e-3},
    }
    final_terms: ClassVar[Mapping[str, str]] = {
        "source_loss": "source",
        "domain_discrepancy": "transfer",
    }

    transfer_weight: float = Field(
        1e-3, ge=0, description="Weight of the discrepancy of both domains (the paper's beta)."
    )
    penalty: float = Field(1e-3, ge=0, description=PENALTY)

    def check_data(
        self, models: Mapping[str, Sequence[ModelSpec]], tasks: Sequence[TaskView]
    ) -> list[Problem]:
        """One source and one target with as many classes."""
        return list(data_problems(tasks))

    def terms(
        self, model: Any, source_projector: Any, batch: Everything, share: float
    ) -> dict[str, Term]:
        """The terms of the loss over all samples of both domains.

        model: with `project` and `classify`; source_projector: from rows of the source into the
        same space. share: how much soft labels count by now, from 0 to 1.
        """
        source, known = source_projector(unit_rows(batch.source.inputs)), batch.labelled.targets
        projected = model.project(batch.target)
        logits = model.classify(projected)
        classes, given, taught = logits.shape[1], len(known), len(source)
        soft = logits[given:].softmax(dim=1)
        discrepancy = soft_mmd(
            source,
            one_hot(batch.source.targets, classes, source),
            projected,
            torch.cat([one_hot(known, classes, soft), share * soft]),
        )
        theirs = functional.cross_entropy(model.classify(source), batch.source.targets)
        squared = squared_weights(model.module) + squared_weights(source_projector)
        return {
            "target": (given / (given + taught), functional.cross_entropy(logits[:given], known)),
            "source": (taught / (given + taught), theirs),
            "transfer": (self.transfer_weight, discrepancy.mean),
            "penalty": (self.penalty / 2, squared),
        }

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the classifier of the target after training."""
        student: Any = bench.model("student")
        source = bench.task("source").train
        width = student.project(bench.task("target").train.all().inputs).shape[1]
        inputs = prod(source.split.inputs.shape[1:])
        widths = [inputs, (inputs + width) // 2, width]
        parts = {
            "student": student,
            "source": bench.module("source projector", partial(projector, widths)),
        }
        steps = bench.settings.steps or 1

        def loss(modules: Any, batch: Everything, rng: Any) -> Mapping[str, Term]:
            return self.terms(modules["student"], modules["source"], batch, batch.step / steps)

        bench.fit(parts, everything(bench), loss)
        yield Stage("adapted", student, learned=bench.task("target").name)
