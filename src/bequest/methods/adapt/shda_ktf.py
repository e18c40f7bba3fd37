"""KTF (Yao et al. 2025): does a source help a target of few labels, even one of pure noise?"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.errors import Problem
from bequest.core.parts import Method, Requires, Role
from bequest.core.stage import Stage
from bequest.lazy import functional, torch
from bequest.methods.adapt._heterogeneous import (
    PENALTY,
    ProjectingNetwork,
    data_problems,
    everything,
    one_hot,
    squared_weights,
    unit_rows,
)
from bequest.ops.discrepancy import soft_mmd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.core.parts import ModelSpec
    from bequest.methods.adapt._heterogeneous import Everything
    from bequest.transfer.bench import Bench, TaskView
    from bequest.transfer.terms import Term


class ShdaKtfNetwork(ProjectingNetwork):
    """One layer into a shared space, where rows get length 1, and a linear classifier (KTF)."""

    unit: ClassVar[bool] = True


class ShdaKtf(Method):
    """Adapt to a target of few labels beside a source of another kind, real or mere noise.

    The source is given in the shared space and stays as it is: its rows are as wide as the space.
    What the target lacks in labels it takes from a structure of classes that it is drawn to. The
    loss of the source tells how discriminative, the discrepancy how transferable a source is.
    """

    source: ClassVar[str] = (
        "Yao et al. 2025, Noise May Contain Transferable Knowledge, arXiv 2502.13573; "
        "formulas from its released code"
    )
    roles: ClassVar[Mapping[str, Role]] = {
        "student": Role("the classifier of the target", answers=("project",), learns=True)
    }
    requires: ClassVar[Requires] = Requires(purposes=("source", "target"))
    fit_defaults: ClassVar[Mapping[str, Any]] = {
        "steps": 600,
        "optimizer": {"use": "adam", "lr": 1e-3},
    }
    final_terms: ClassVar[Mapping[str, str]] = {
        "source_loss": "source",
        "domain_discrepancy": "transfer",
    }

    source_weight: float = Field(
        0.1, ge=0, description="Weight of the cross-entropy on the source (the paper's beta)."
    )
    transfer_weight: float = Field(
        1.0, ge=0, description="Weight of the discrepancy of both domains (the paper's mu)."
    )
    penalty: float = Field(0.05, ge=0, description=PENALTY)

    def check_data(
        self, models: Mapping[str, Sequence[ModelSpec]], tasks: Sequence[TaskView]
    ) -> list[Problem]:
        """One source and one target with as many classes, and a source as wide as the space."""
        widths = {spec.width for spec in models["student"] if isinstance(spec, ShdaKtfNetwork)}
        sources = [task for task in tasks if task.purpose == "source"]
        return [*data_problems(tasks), *_width_problems(sources, widths)]

    def terms(self, model: Any, batch: Everything) -> dict[str, Term]:
        """The terms of the loss over all samples of both domains.

        model: with `project` and `classify`. Rows without a label have the soft ones that the
        classifier gives them, through which gradients flow.
        """
        source, known = unit_rows(batch.source.inputs), batch.labelled.targets
        projected = model.project(batch.target)
        logits = model.classify(projected)
        classes, given = logits.shape[1], len(known)
        soft = logits[given:].softmax(dim=1)
        discrepancy = soft_mmd(
            source,
            one_hot(batch.source.targets, classes, source),
            projected,
            torch.cat([one_hot(known, classes, soft), soft]),
        )
        theirs = functional.cross_entropy(model.classify(source), batch.source.targets)
        return {
            "target": functional.cross_entropy(logits[:given], known),
            "source": (self.source_weight, theirs),
            "transfer": (self.transfer_weight, discrepancy.mean),
            "penalty": (self.penalty / 2, squared_weights(model.module)),
        }

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the classifier of the target after training."""
        student = bench.model("student")

        def loss(model: Any, batch: Everything, rng: Any) -> Mapping[str, Term]:
            return self.terms(model, batch)

        bench.fit(student, everything(bench), loss)
        yield Stage("adapted", student, learned=bench.task("target").name)


def _width_problems(sources: Sequence[TaskView], widths: set[int]) -> Iterator[Problem]:
    for source in sources:
        wide = prod(source.train.split.inputs.shape[1:])
        if widths - {wide}:
            what = f"the source has {wide} values a sample, the shared space {min(widths)}"
            fix = f"set `width: {wide}` on the model, or use `stn`, which projects the source too"
            yield Problem(what, fix, ("tasks", source.name))
