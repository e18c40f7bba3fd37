"""Stages to rows: every task's question put to a stage's model, each answer kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.runner.models import parameter_cost
from bequest.transfer.state import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.live import Task
    from bequest.core.stage import Stage
    from bequest.store.journal import Journal

SCORE_BATCH = 512


def score_stage(stage: Stage, tasks: Mapping[str, Task], journal: Journal) -> dict[str, Any]:
    """The cells of a stage, why others are absent, and the size of its model."""
    cells, absent = {}, {}
    for name, task in tasks.items():
        if stage.on is not None and name not in stage.on:
            absent[name] = "the stage is not scored on this task"
        elif task.asks not in stage.model.answers:
            absent[name] = f"the model does not answer `{task.asks}`"
        else:
            cells[name] = _score(stage, task, journal)
    return {"cells": cells, "absent": absent, "costs": parameter_cost(stage.model)}


def _score(stage: Stage, task: Task, journal: Journal) -> dict[str, Any]:
    weights = fingerprint({"model": stage.model.module})
    went_in = {"weights": weights, "task": task.fingerprint}
    entry = journal.entry("score", f"{stage.name}-{task.name}", went_in)
    try:
        record: dict[str, Any] = entry.result()
    except LookupError:
        record = _recorded(stage, task)
        entry.commit(record)
    return record


def _recorded(stage: Stage, task: Task) -> dict[str, Any]:
    model = stage.model
    if hasattr(model, "for_task"):
        model = model.for_task(task.name)
    found = task.record(model, SCORE_BATCH)
    return {
        "sample": found.sample,
        "columns": dict(found.columns),
        "unit": found.unit,
        "group": None if found.group is None else list(map(str, found.group)),
        "draw": found.draw,
    }
