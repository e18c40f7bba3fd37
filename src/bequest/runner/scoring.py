"""Stages to rows: every task's question put to a stage's model, each answer kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.answered import NotNumbers
from bequest.build.heads import NotLearned
from bequest.core.errors import NotFinite, RunError
from bequest.core.live import Auditing
from bequest.core.progress import Silent
from bequest.runner.models import parameter_cost
from bequest.runner.transcripts import packed
from bequest.transfer.randomness import seeded
from bequest.transfer.state import fingerprint, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bequest.core.live import Model, Task
    from bequest.core.outcomes import Outcomes
    from bequest.core.progress import Progress
    from bequest.core.stage import Stage
    from bequest.store.journal import Journal
    from bequest.transfer.bench import Bench

    MakeBench = Callable[[Model, Task, Journal], Bench]

SCORE_BATCH = 512
_WHY_NOT = "why not"  # in place of what is recorded
_SILENT = Silent()


def score_stage(
    stage: Stage,
    tasks: Mapping[str, Task],
    journal: Journal,
    make_bench: MakeBench,
    progress: Progress = _SILENT,
) -> dict[str, Any]:
    """The cells of a stage, why others are absent, and the size of its model.

    make_bench: the workbench of an audit, from the model, the task and the journal it gets.
    """
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
    scored = _scored(stage, asked, tasks, journal, make_bench, progress)
    progress.doing("")
    absent |= {name: cell[_WHY_NOT] for name, cell in scored.items() if _WHY_NOT in cell}
    cells = {name: cell for name, cell in scored.items() if name not in absent}
    return {"cells": cells, "absent": absent, "costs": parameter_cost(stage.model)}


def _for_task(model: Model, name: str) -> Model:
    chosen: Model = model.for_task(name) if hasattr(model, "for_task") else model
    return chosen


def _scored(
    stage: Stage,
    asked: Mapping[str, Model],
    tasks: Mapping[str, Task],
    journal: Journal,
    make_bench: MakeBench,
    progress: Progress,
) -> dict[str, Any]:
    """What is recorded of each task: one entry for the stage, as answers are cheap to ask again.

    Those of an audit are not, so it has a journal of its own within the entry. Where a model
    answers what is no number, or an audit can't train it, the reason is recorded instead.
    """
    weights = fingerprint({"model": stage.model.module})
    prints = {f"task {name}": tasks[name].fingerprint for name in asked}
    went_in = {"weights": weights, **prints, **reading(stage.model)}
    entry = journal.entry("score", stage.name, went_in)

    def recorded(name: str, model: Model) -> Outcomes:
        task = tasks[name]
        progress.doing(f"scoring {stage.name} on {name}")
        if not isinstance(task, Auditing):
            return task.record(model, SCORE_BATCH)
        return _audited(model, task, journal.within(entry, name), make_bench)

    def cell(name: str, model: Model) -> dict[str, Any]:
        try:
            return _kept(recorded(name, model))
        except (NotNumbers, NotFinite) as reason:
            return {_WHY_NOT: str(reason)}

    def cells() -> dict[str, Any]:
        with seeded(entry.seed):
            return {name: cell(name, model) for name, model in asked.items()}

    scored: dict[str, Any] = entry.made_once(cells)
    for name in asked:
        journal.within(entry, name).forget()  # which holds models as large as the one asked
    return scored


def _audited(model: Model, task: Any, journal: Journal, make_bench: MakeBench) -> Outcomes:
    before = fingerprint({"model": model.module})
    with seeded(journal.seed_of("")):
        found: Outcomes = task.audit(model, make_bench(model, task, journal))
    if fingerprint({"model": model.module}) != before:
        raise RunError(f"the audit `{task.name}` changed the model that it was to ask")
    return found


def _kept(found: Outcomes) -> dict[str, Any]:
    return {
        "sample": found.sample,
        "columns": dict(found.columns),
        "unit": found.unit,
        "group": None if found.group is None else list(map(str, found.group)),
        "draw": found.draw,
        "transcript": None if found.transcript is None else packed(found.transcript),
        "shown": dict(found.shown),
    }
