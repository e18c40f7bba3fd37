"""Tasks with other labels than each other, answered by one model with a head for each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.build.classification import label_space
from bequest.core.errors import Problem
from bequest.runner.strangers import strangers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.core.live import Split, Task
    from bequest.recipe.plan import Plan


_BY_NAME = ("logits", "predict")  # questions whose answers are known by the names of labels


def label_problems(plan: Plan, tasks: Mapping[str, Task]) -> Iterator[Problem]:
    """Tasks that one model can't answer beside the first: other inputs, or other labels."""
    entries = plan.entries
    asked = _asked(plan, tasks, *_BY_NAME)
    for task in asked[1:]:
        first, at = asked[0], ("tasks", entries[task.name])
        if task.asks != first.asks:
            what = f"it asks `{task.asks}`, but `{first.name}` asks `{first.asks}`"
            yield Problem(what, "one model can't answer both; use a recipe for each", at)
        elif set(task.labels) != set(first.labels) and not _headed(plan):
            only = ", ".join(sorted(set(task.labels) ^ set(first.labels))[:10])
            what = f"its labels differ from those of `{first.name}` ({only})"
            fix = "learn them with one head per task (`heads: per_task` of a continual method)"
            yield Problem(what, f"{fix}, or use a recipe for each", at)
        elif task.shape != first.shape:
            what = f"its inputs have shape {task.shape}, those of `{first.name}` {first.shape}"
            yield Problem(what, "one model can't take both; use a recipe for each", at)


def in_one_space(plan: Plan, tasks: Mapping[str, Task]) -> dict[str, Task]:
    """The tasks, those that models are asked about with the labels of all of them together.

    A head never answers with labels that its task lacks, so each is still asked for its own.
    """
    asked = _asked(plan, tasks, "logits")
    if len({frozenset(task.labels) for task in asked}) < 2:
        return dict(tasks)
    labels = label_space(label for task in asked for label in task.labels)
    return {name: _widened(task, labels) if task in asked else task for name, task in tasks.items()}


def own_labels(task: Task) -> tuple[str, ...]:
    """The labels that samples of a task have, in their order."""
    targets = [split.targets for split in task.splits.values() if split.targets is not None]
    if not task.labels or not targets or targets[0].ndim != 1:
        return task.labels
    there = np.unique(np.concatenate(targets))
    return tuple(task.labels[index] for index in there.tolist())


def _asked(plan: Plan, tasks: Mapping[str, Task], *questions: str) -> list[Task]:
    odd = strangers(plan, tasks)
    return [task for name, task in tasks.items() if task.asks in questions and name not in odd]


def _headed(plan: Plan) -> bool:
    """Whether all that learns gives each task a head of its own."""
    return all(getattr(step.method, "heads", "") == "per_task" for step in plan.steps)


def _widened(task: Task, labels: Sequence[str]) -> Task:
    place = np.array([labels.index(label) for label in task.labels], np.int64)
    splits = {side: _moved(split, place) for side, split in task.splits.items()}
    return cast("Task", replace(cast("Any", task), labels=tuple(labels), splits=splits))


def _moved(split: Split, place: np.ndarray[Any, Any]) -> Split:
    return split if split.targets is None else replace(split, targets=place[split.targets])
