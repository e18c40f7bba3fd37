"""The new model by itself: how good it is, and how little an old gallery understands it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bequest.build.embedding import Vectors
from bequest.core.parts import Role
from bequest.lazy import functional
from bequest.methods.compat._upgrading import (
    NEW,
    OLD,
    SMOOTHING,
    UpgradeMethod,
    classifier_of,
    encoded,
    searching,
    train,
    width_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Batch
    from bequest.core.stage import Stage
    from bequest.transfer.bench import Bench
    from bequest.transfer.terms import Term


class Independent(UpgradeMethod):
    """Train an embedder on labels alone, and search the old gallery with it as it is.

    A network with layers to learn (`use: embedder`) is trained where the task has labels; an
    embedder that is complete is only measured. Without an old model this trains a first one.
    """

    roles: ClassVar[Mapping[str, Role]] = {
        "new": NEW,
        "old": Role(OLD.about, OLD.answers, optional=True),
    }
    source: ClassVar[str] = "the bound of Zhou et al. 2023, BT², ICCV, arXiv 2211.03989"

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """The old model in its gallery, the new one there, and in a gallery of its own.

        Raises:
            RequestError: no vector can be had of a model.
        """
        self.learn(bench)
        new = bench.model("new")
        if bench.has("old"):
            old = bench.model("old")
            yield searching(old, old, "old", "old", of="old")
            yield searching(new, old, "new", "old")
        yield searching(new, new, "new", "new")

    def learn(self, bench: Bench) -> None:
        """Cross-entropy of a linear classifier on the unit vectors, with smoothed labels."""
        new, task = bench.model("new"), bench.task("learn")
        rows = task.train
        if not isinstance(new, Vectors) or rows.targets is None:
            return
        width = width_in(bench, new)
        classifier = classifier_of(bench, width, rows)
        vectors = encoded(bench, new, rows)

        def loss(modules: Any, batch: Batch, rng: Any) -> Mapping[str, Term]:
            logits = modules["classifier"](functional.normalize(new.mapped(vectors(batch)), dim=1))
            found = functional.cross_entropy(logits, batch.targets, label_smoothing=SMOOTHING)
            return {"labels": found}

        train(bench, new, rows, loss, classifier)
