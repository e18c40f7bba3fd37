"""What all methods that forget by a loss share: its batches, its terms and what is looked up.

A method says what drives its answers to the forget set away (`objective`); those that also hold on
to other knowledge are `Retaining`. Total = gamma · forget + alpha · retain, as in OpenUnlearning
(Dorna et al. 2025, arXiv 2506.12618).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.parts import Method, Requires, Role
from bequest.core.stage import Stage
from bequest.lazy import torch
from bequest.methods.unlearn._reading import Answers, answers
from bequest.store.journal import derive
from bequest.transfer.learning import LEARNS, own_loss
from bequest.transfer.pool import together
from bequest.transfer.randomness import generator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bequest.core.live import Batch
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows
    from bequest.transfer.terms import Term, Value

    Objective = Callable[[Any, Batch, torch.Generator], Value]

FORGETS: Mapping[str, Role] = {
    "student": Role("the model that forgets", answers=LEARNS, learns=True)
}


class Unlearning(Method):
    """Base of methods that train on what is to be forgotten."""

    roles: ClassVar[Mapping[str, Role]] = FORGETS
    requires: ClassVar[Requires] = Requires(purposes=("forget",))

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """The term over a batch of what is to be forgotten; sees the student as it came."""
        raise NotImplementedError

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the student after forgetting."""
        student, forget = bench.model("student"), together(bench.tasks("forget"))
        away = self.objective(bench, forget)

        def loss(model: Any, batch: Batch, rng: torch.Generator) -> Mapping[str, Term]:
            return {"forget": away(model, batch, rng)}

        bench.fit(student, forget, loss)
        yield Stage("forgot", student)


class Retaining(Unlearning):
    """Base of methods that train on what is to be kept beside what is to be forgotten."""

    requires: ClassVar[Requires] = Requires(purposes=("forget", "retain"))

    gamma: float = Field(1.0, gt=0, description="Weight of forgetting.")
    alpha: float = Field(1.0, gt=0, description="Weight of retaining.")
    retain_per_item: int = Field(
        1, ge=1, description="Samples to retain that are drawn beside each one to forget."
    )

    def kept(self, bench: Bench, retain: Rows) -> Objective:
        """The term over a batch of what is to be kept: as in learning it."""
        del bench, retain

        def likely(model: Any, batch: Batch, rng: torch.Generator) -> Value:
            return own_loss(model, batch)

        return likely

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """One stage: the student after forgetting."""
        student, forget = bench.model("student"), together(bench.tasks("forget"))
        retain = together(bench.tasks("retain"))
        away, kept = self.objective(bench, forget), self.kept(bench, retain)

        def loss(model: Any, batch: Any, rng: torch.Generator) -> Mapping[str, Term]:
            return {
                "forget": (self.gamma, away(model, batch["forget"], rng)),
                "retain": (self.alpha, kept(model, batch["retain"], rng)),
            }

        bench.fit(student, Beside(forget, retain, self.retain_per_item), loss)
        yield Stage("forgot", student)


@dataclass(frozen=True)
class Beside:
    """Each sample to forget once an epoch, and beside it some to retain, drawn with replacement."""

    forget: Rows
    retain: Rows
    each: int = 1

    def steps(self, batch_size: int) -> int:
        """Those of the samples to forget; none where nothing can be retained."""
        return self.forget.steps(batch_size) if len(self.retain) else 0

    def epoch(self, seed: int, batch_size: int, skip: int = 0) -> Iterator[Mapping[str, Batch]]:
        """A batch of each, by name."""
        for step, rows in enumerate(self.forget.shuffled(seed, batch_size)):
            if step >= skip:
                draw = generator(derive(seed, "retain", step))
                beside = torch.randint(len(self.retain), (len(rows) * self.each,), generator=draw)
                yield {
                    "forget": self.forget.batch(rows),
                    "retain": self.retain.batch(beside.to(self.retain.device)),
                }


def by_answer(losses: Callable[[Answers, Batch], torch.Tensor]) -> Objective:
    """The mean over answers of what `losses` gives each, [batch]."""

    def term(model: Any, batch: Batch, rng: torch.Generator) -> Value:
        return losses(answers(model, batch), batch).mean()

    return term
