"""A model of its own for each task: what a task's score is without the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bequest.core.stage import Stage
from bequest.methods.continual._sequence import Learner, SequenceMethod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.transfer.bench import Bench


class Single(SequenceMethod):
    """Train a copy of the student on each task alone; the student itself stays as it was."""

    source: ClassVar[str] = (
        "the single-task reference of forward transfer, as in Lin et al. 2022, arXiv 2211.00789"
    )

    def transfer(self, bench: Bench) -> Iterator[Stage]:
        """A stage for each task, measured on that task only."""
        student = bench.model("student")
        for task in bench.tasks("learn"):
            learner = Learner(bench, self.prepared(bench.copy(student)))
            learner.learn(task)
            yield Stage(f"only-{task.name}", learner.model, learned=task.name, on=[task.name])
