"""Stages to rows: every task's question put to a stage's model, each answer kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.heads import NotLearned
from bequest.lazy import torch
from bequest.recipe.schema import FitSettings
from bequest.runner.models import parameter_cost
from bequest.runner.transcripts import packed
from bequest.store.journal import Journal
from bequest.transfer.bench import Bench
from bequest.transfer.randomness import seeded
from bequest.transfer.state import fingerprint, reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.live import Model, Task
    from bequest.core.stage import Stage
    from bequest.store.journal import Entry

SCORE_BATCH = 512


def score_stage(stage: Stage, tasks: Mapping[str, Task], journal: Journal) -> dict[str, Any]:
    """The cells of a stage, why others are absent, and the size of its model."""
    asked, absent = {}, {}
    for name, task in tasks.items():
        if stage.on is not None and name not in stage.on:
            absent[name] = "the stage is not scored on this task"
        elif task.asks not in stage.model.answers:
            absent[name] = f"the model does not answer `{task.asks}`"
        else:
            try:
                asked[name] = _for_task(stage.model, name)
            except NotLearned as reason:
                absent[name] = str(reason)
    cells = _scored(stage, asked, tasks, journal)
    return {"cells": cells, "absent": absent, "costs": parameter_cost(stage.model)}


def _for_task(model: Model, name: str) -> Model:
    chosen: Model = model.for_task(name) if hasattr(model, "for_task") else model
    return chosen


def _scored(
    stage: Stage, asked: Mapping[str, Model], tasks: Mapping[str, Task], journal: Journal
) -> dict[str, Any]:
    """What is recorded of each task: one entry for the stage, as answers are cheap to ask again."""
    weights = fingerprint({"model": stage.model.module})
    prints = {f"task {name}": tasks[name].fingerprint for name in asked}
    went_in = {"weights": weights, **prints, **reading(stage.model)}
    entry = journal.entry("score", stage.name, went_in)

    def cells() -> dict[str, Any]:
        with seeded(entry.seed):
            bench = _workbench(journal, entry)
            return {name: _recorded(model, tasks[name], bench) for name, model in asked.items()}

    scored: dict[str, Any] = entry.made_once(cells)
    return scored


def _workbench(journal: Journal, entry: Entry) -> Bench:
    """What tasks that do more than ask work with; its journal lies within the entry."""
    within = Journal(journal.folder / entry.stem, (entry.seed, 0), {}, shared=journal.shared)
    return Bench(
        models={},
        tasks=[],
        fresh=_nobody,
        journal=within,
        settings=FitSettings(),
        seed=entry.seed,
        device=torch.device("cpu"),
    )


def _nobody(role: str) -> Model:
    raise LookupError(role)


def _recorded(model: Model, task: Task, bench: Bench) -> dict[str, Any]:
    audit = getattr(task, "audit", None)
    found = audit(model, bench) if audit else task.record(model, SCORE_BATCH)
    return {
        "sample": found.sample,
        "columns": dict(found.columns),
        "unit": found.unit,
        "group": None if found.group is None else list(map(str, found.group)),
        "draw": found.draw,
        "transcript": None if found.transcript is None else packed(found.transcript),
        "shown": dict(found.shown),
    }
