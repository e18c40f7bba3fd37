"""Training on all tasks at once: what learning one after another is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.core.stage import Stage
from bequest.methods.continual._sequence import SequenceMethod, mixed_loss, open_head
from bequest.transfer.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from bequest.core.live import Model
    from bequest.transfer.bench import Bench, TaskView
    from bequest.transfer.pool import Mixed
    from bequest.transfer.terms import Term


class Joint(SequenceMethod):
    """Train one model on the samples of all tasks together, each once an epoch."""

    source: ClassVar[str] = (
        "multitask learning, Caruana 1997; a model per prefix as in Chaudhry et al. 2018, "
        "arXiv 1801.10112, section 3"
    )

    prefixes: bool = Field(
        False,
        description="A model for each prefix of the sequence, which intransigence is taken from.",
    )

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """A stage on all tasks, or one for each prefix; the student is the model of them all."""
        tasks = bench.tasks("learn")
        student = bench.model("student")
        for end in range(1, len(tasks)) if self.prefixes else ():
            model = self.prepared(bench.copy(student))
            fit_together(bench, model, tasks[:end])
            learned = tasks[end - 1].name
            yield Stage(f"up-to-{learned}", model, learned=learned)
        model = self.prepared(student)
        fit_together(bench, model, tasks)
        yield Stage("together", model, learned=tasks[-1].name if self.prefixes else None)


def fit_together(bench: Bench, model: Model, tasks: Sequence[TaskView]) -> None:
    """Train the model on the samples of all tasks, with cross-entropy."""
    for task in tasks:
        open_head(bench, model, task)
    names = [task.name for task in tasks]

    def loss(module: Any, mixed: Mixed, rng: torch.Generator) -> Mapping[str, Term]:
        return {"hard": mixed_loss(model, names, mixed)}

    bench.fit(model, Pool(dict(enumerate(task.train for task in tasks))), loss)
