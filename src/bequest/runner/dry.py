"""What a run would do and need, without doing it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.runner.label_spaces import own_labels
from bequest.runner.work import planned_steps

if TYPE_CHECKING:
    from bequest.core.live import Task
    from bequest.runner.preparing import Prepared

# Measured on finished runs: compressed outcomes of a task that asks for logits, and what an
# optimiser with two averages adds to the weights in a checkpoint.
BYTES_PER_OUTCOME = 24
CHECKPOINT_TO_WEIGHTS = 3


@dataclass(frozen=True)
class Planned:
    """One step of the plan under one seed.

    fit_steps: optimiser steps of one fit; a method may fit several times.
    """

    step: str
    method: str
    models: dict[str, Any]
    tasks: list[str]
    line: str
    fit_steps: int


@dataclass(frozen=True)
class Data:
    """What one task's data are: samples of each side, and what a user should know of them.

    labels: of a task that has some; range: the lowest and the highest number to be predicted, where
    numbers are.
    """

    task: str
    samples: dict[str, int]
    labels: list[str]
    range: list[float] | None
    notes: list[str]


@dataclass(frozen=True)
class Input:
    """What a user should know of how a model was read."""

    model: str
    notes: list[str]


@dataclass(frozen=True)
class Estimate:
    """What a run would need, and from which data.

    cells: stages × tasks × seeds, counting one stage a step and every given model; a method may
    give more stages. disk: bytes at the most, journal and checkpoints included.
    """

    steps: list[Planned]
    models: list[Input]
    tasks: list[Data]
    seeds: list[int]
    cells: int
    fit_steps: int
    disk: int

    def to_json(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


def dry_run(prepared: Prepared) -> Estimate:
    """Estimate a checked request."""
    plan = prepared.plan
    steps = [
        Planned(
            step.name,
            step.method_name,
            {role: list(of) if isinstance(of, tuple) else of for role, of in step.models.items()},
            list(step.tasks),
            step.line,
            planned_steps(step, prepared.tasks),
        )
        for step in plan.steps
    ]
    seeds = len(plan.seeds)
    stages = len(plan.models) + len(steps)
    tested = sum(len(task.splits["test"]) for task in prepared.asked.values())
    return Estimate(
        steps=steps,
        models=[Input(name, list(facts.notes)) for name, facts in prepared.facts.items()],
        tasks=[_data(name, task) for name, task in prepared.tasks.items()],
        seeds=list(plan.seeds),
        cells=stages * len(prepared.asked) * seeds,
        fit_steps=seeds * sum(step.fit_steps for step in steps),
        disk=_models_on_disk(prepared) + 2 * stages * tested * seeds * BYTES_PER_OUTCOME,
    )


def _data(name: str, task: Task) -> Data:
    samples = {str(side): len(split) for side, split in task.splits.items()}
    values = [split.values for split in task.splits.values() if split.values is not None]
    ends = [float(end(np.concatenate(values))) for end in (np.min, np.max)] if values else None
    labels = [] if ends else list(own_labels(task))
    return Data(name, samples, labels, ends, list(task.notes))


def _models_on_disk(prepared: Prepared) -> int:
    plan = prepared.plan
    largest = max(facts.bytes for facts in prepared.facts.values())
    return len(plan.seeds) * len(plan.steps) * largest + CHECKPOINT_TO_WEIGHTS * largest
