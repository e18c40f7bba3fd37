"""Backward-compatible training (Shen et al. 2020), as the BT² code has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.build.embedding import UnitVectors
from bequest.lazy import functional, torch
from bequest.methods.compat._upgrading import (
    FIT,
    SMOOTHING,
    UpgradeMethod,
    class_means,
    classifier_of,
    encoded,
    learner,
    refuse_unlabelled,
    refuse_width,
    train,
    unit_answers,
    width_in,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench
    from bequest.transfer.terms import Term


class Bct(UpgradeMethod):
    """Train an embedder on labels, as itself and as the old model's class means see them.

    The model in role `new` is `use: embedder` with the old model's width.
    """

    # The released code leaves its schedule out.
    fit_defaults: ClassVar[Mapping[str, Any]] = {**FIT, "schedule": "constant", "warmup": 0.0}
    source: ClassVar[str] = (
        "Shen et al. 2020, Towards Backward-Compatible Representation Learning, arXiv 2003.11942; "
        "weights of Zhou et al. 2023, BT²"
    )

    influence: float = Field(
        10.0, ge=0, description="Weight of the labels as the old model's class means see them."
    )

    def learn(self, bench: Bench) -> None:
        """CE(logits, y) + influence · CE(f Wᵀ, y), both with smoothed labels."""
        refuse_unlabelled(bench, "bct")
        new, task = learner(bench, UnitVectors, "embedder"), bench.task("learn")
        rows = task.train
        width = width_in(bench, new)
        refuse_width("`old`", width_in(bench, bench.model("old")), width, "set its `width`")
        classifier = classifier_of(bench, width, rows)
        means = class_means(unit_answers(bench, bench.model("old"), rows), rows)
        vectors = encoded(bench, new, rows)

        def entropy(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
            return functional.cross_entropy(logits, batch.targets, label_smoothing=SMOOTHING)

        def loss(modules: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            feature = new.mapped(vectors(batch))
            return {
                "labels": entropy(modules["classifier"](feature), batch),
                "influence": (self.influence, entropy(feature @ means.T, batch)),
            }

        train(bench, new, rows, loss, classifier)
