"""Numbers for the old gallery and numbers for the new one, side by side: what BT² improves on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.build.embedding import UnitVectors
from bequest.build.encoder import Behind, width_of
from bequest.lazy import functional, torch
from bequest.methods.compat._upgrading import (
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


class ExtraDimensions(UpgradeMethod):
    """Train an embedder with a part that matches the old one, and free numbers behind it.

    The model in role `new` is `use: extra_dimensions`. All of the vector learns the labels, its
    first part also as the old model's class means see them, and to match old vectors.
    """

    source: ClassVar[str] = "the naive way in Zhou et al. 2023, BT², ICCV, arXiv 2211.03989"

    influence: float = Field(
        10.0, ge=0, description="Weight of the labels as the old model's class means see them."
    )
    match_old: float = Field(5.0, ge=0, description="Weight of the match with the old vectors.")

    def learn(self, bench: Bench) -> None:
        """CE(logits, y) + influence · CE(b Wᵀ, y) + match_old · (1 − mean cosine with old)."""
        refuse_unlabelled(bench, "extra_dimensions")
        new, task = learner(bench, SplitVectors, "extra_dimensions"), bench.task("learn")
        rows, width = task.train, width_in(bench, bench.model("old"))
        refuse_width("`old`", width, new.old_width, "set its `old_width`")
        size = width_in(bench, new)
        classifier = classifier_of(bench, size, rows)
        old, vectors = unit_answers(bench, bench.model("old"), rows), encoded(bench, new, rows)
        means = class_means(old, rows)

        def loss(modules: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            whole = new.mapped(vectors(batch))
            compatible = functional.normalize(whole[:, :width], dim=1)
            logits = modules["classifier"](whole)
            seen = functional.cross_entropy(compatible @ means.T, batch.targets)
            return {
                "labels": functional.cross_entropy(logits, batch.targets),
                "influence": (self.influence, seen),
                "match_old": (self.match_old, 1 - (old(batch) * compatible).sum(dim=1).mean()),
            }

        train(bench, new, rows, loss, classifier)


class SplitVectors(UnitVectors):
    """Unit vectors whose first `old_width` numbers are compared with old ones."""

    def __init__(
        self, inner: Any, layers: torch.nn.ModuleDict, frozen: bool, old_width: int
    ) -> None:
        super().__init__(inner, layers, frozen)
        self.old_width = old_width

    @property
    def compared(self) -> int:
        """The part for the old gallery."""
        return self.old_width


class ExtraDimensionsNetwork(Behind):
    """An encoder whose vectors get free numbers behind those for an old gallery.

    Method `extra_dimensions` trains it; `old_width` is the encoder's own width when left out.
    """

    old_width: int | None = Field(None, ge=1, le=65_536, description="Numbers in old vectors.")
    extra: int = Field(32, ge=1, le=65_536, description="Free numbers behind them.")

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> SplitVectors:
        """The network, with new layers behind the encoder.

        Raises:
            RequestError: the encoder can't be had, or has no width of its own.
        """
        old_width = self.old_width or width_of(self.base().build(shape, kind, ()), shape)
        inner, trunk, frozen = self.encoder(shape, kind, old_width + self.extra)
        return SplitVectors(inner, torch.nn.ModuleDict({"trunk": trunk}), frozen, old_width)
