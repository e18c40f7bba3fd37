"""One seed of a run: the given models, then step after step, each a journal entry."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.core.stage import Stage
from bequest.lazy import torch
from bequest.measure.rows import GIVEN, MAIN
from bequest.runner.models import load_weights, parameter_cost, save_model, save_pack
from bequest.runner.prepare import Held
from bequest.store.journal import Journal
from bequest.transfer.bench import Bench, freeze
from bequest.transfer.state import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bequest.core.live import Model, Task
    from bequest.core.progress import Progress
    from bequest.recipe.plan import PlannedStep
    from bequest.runner.prepare import Prepared
    from bequest.store.folder import RunFolder
    from bequest.store.log import Log

SCORE_BATCH = 512


class Work:
    """A prepared run under one seed, going on from whatever its journal holds."""

    def __init__(
        self, prepared: Prepared, folder: RunFolder, seed: int, progress: Progress, log: Log
    ) -> None:
        self._prepared, self._plan = prepared, prepared.plan
        self._folder, self._seed = folder, seed
        self._progress, self._log = progress, log
        self._held: dict[str, Held] = {}

    def run(self) -> list[dict[str, Any]]:
        """Do what is left to do; gives a record of every row, in order."""
        outer = Journal(self._folder.journal(self._seed), (self._seed, -1), versions())
        for name in self._plan.models:
            self._held[name] = Held(self._prepared.build(name, self._seed), name)
        rows: list[dict[str, Any]] = []
        for number, step in enumerate([None, *self._plan.steps]):
            name = step.name if step else GIVEN
            made_by = source_of(step.method) if step else {}
            journal = self._journal(name, number, made_by)
            entry = outer.entry("step", name, {"tasks": self._data(), **made_by})
            try:
                done = entry.result()
            except LookupError:
                self._progress.begin(f"{name} · seed {self._seed}", self._fit_steps(step))
                done = list(self._step(step, journal) if step else self._given(journal))
                entry.commit(done)
                self._progress.end()
            else:
                self._take_up(step)
            journal.forget()
            rows += done
        return rows

    def _fit_steps(self, step: PlannedStep | None) -> int:
        return planned_steps(step, self._prepared.tasks) if step else 0

    def _journal(self, name: str, number: int, made_by: Mapping[str, str]) -> Journal:
        folder = self._folder.journal(self._seed) / name
        return Journal(folder, (self._seed, number), versions() | dict(made_by))

    def _given(self, journal: Journal) -> Iterator[dict[str, Any]]:
        for name, held in self._held.items():
            stage = Stage(name, held.model, of=name, line=GIVEN)
            yield self._row(stage, GIVEN, name, journal, {})

    def _step(self, step: PlannedStep, journal: Journal) -> Iterator[dict[str, Any]]:
        held = {role: self._resolve(step, role, names) for role, names in step.models.items()}
        bench = self._bench(step, held, journal)
        counted = 0
        for stage in step.method.transfer(bench):
            origin = self._origin(held, stage.of)
            if stage.line == MAIN and step.line != MAIN:
                stage = dataclasses.replace(stage, line=step.line)
            fits, counted = bench.fits[counted:], len(bench.fits)
            cost = {
                "seconds": sum(fit.cost["seconds"] for fit in fits),
                "peak_memory": max((fit.cost["peak_memory"] for fit in fits), default=0.0),
            }
            row = self._row(stage, step.name, origin, journal, cost)
            row["curves"] = [fit.curves for fit in fits]
            for name, tensors in stage.deliver.items():
                save_pack(self._folder.pack(step.name, self._seed, name), tensors)
            yield row
        self._deliver(step, held)

    def _bench(
        self, step: PlannedStep, held: Mapping[str, Held | list[Held]], journal: Journal
    ) -> Bench:
        def fresh(role: str) -> Model:
            return self._prepared.build(self._origin(held, role), self._seed)

        return Bench(
            models={
                role: [one.model for one in some] if isinstance(some, list) else some.model
                for role, some in held.items()
            },
            tasks=[self._prepared.tasks[name] for name in step.tasks],
            fresh=fresh,
            journal=journal,
            settings=step.fit,
            seed=self._seed,
            device=self._prepared.device,
            progress=self._advance,
        )

    def _advance(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        self._progress.advance(step, steps, values)
        self._log.write("fit", step=step, steps=steps, **values)

    def _resolve(
        self, step: PlannedStep, role: str, names: str | tuple[str, ...]
    ) -> Held | list[Held]:
        """The models of a role: copies, so that what later steps refer to stays as it is."""
        if isinstance(names, tuple):
            return [self._copy(step, role, name) for name in names]
        return self._copy(step, role, names)

    def _copy(self, step: PlannedStep, role: str, name: str) -> Held:
        held = self._held[name]
        model = copy.deepcopy(held.model)
        learns = type(step.method).roles[role].learns
        return Held(model if learns else freeze(model), held.origin)

    def _deliver(self, step: PlannedStep, held: Mapping[str, Held | list[Held]]) -> None:
        for role, some in held.items():
            if isinstance(some, list):
                continue
            learns = type(step.method).roles[role].learns
            before = self._held[str(step.models[role])]
            self._held[f"{step.name}.{role}"] = some if learns else before
            if learns:
                folder = self._folder.model(step.name, role, self._seed)
                save_model(folder, some, self._prepared)

    def _take_up(self, step: PlannedStep | None) -> None:
        """Make the models of a finished step available again."""
        if step is None:
            return
        for role, names in step.models.items():
            if isinstance(names, tuple):
                continue
            held = self._held[names]
            if type(step.method).roles[role].learns:
                model = self._prepared.build(held.origin, self._seed)
                load_weights(model, self._folder.model(step.name, role, self._seed))
                held = Held(model, held.origin)
            self._held[f"{step.name}.{role}"] = held

    @staticmethod
    def _origin(held: Mapping[str, Held | list[Held]], role: str) -> str:
        some = held.get(role)
        return some.origin if isinstance(some, Held) else role

    def _row(
        self, stage: Stage, step: str, origin: str, journal: Journal, cost: dict[str, float]
    ) -> dict[str, Any]:
        cells, absent = {}, {}
        for name, task in self._prepared.tasks.items():
            if stage.on is not None and name not in stage.on:
                absent[name] = "the stage is not scored on this task"
            elif task.asks not in stage.model.answers:
                absent[name] = f"the model does not answer `{task.asks}`"
            else:
                cells[name] = self._score(stage, task, journal)
        return {
            "step": step,
            "name": stage.name,
            "of": origin,
            "learned": stage.learned,
            "line": stage.line,
            "at": dict(stage.at),
            "cells": cells,
            "absent": absent,
            "costs": {**cost, **parameter_cost(stage.model)},
            "curves": [],
        }

    def _score(self, stage: Stage, task: Task, journal: Journal) -> dict[str, Any]:
        weights = fingerprint({"model": stage.model.module})
        went_in = {"weights": weights, "task": task.fingerprint}
        entry = journal.entry("score", f"{stage.name}-{task.name}", went_in)
        try:
            record: dict[str, Any] = entry.result()
        except LookupError:
            model = stage.model
            if hasattr(model, "for_task"):
                model = model.for_task(task.name)
            found = task.record(model, SCORE_BATCH)
            record = {
                "sample": found.sample,
                "columns": dict(found.columns),
                "unit": found.unit,
                "group": None if found.group is None else list(map(str, found.group)),
                "draw": found.draw,
            }
            entry.commit(record)
        return record

    def _data(self) -> str:
        prints = [task.fingerprint for task in self._prepared.tasks.values()]
        return hashlib.sha256("".join(prints).encode()).hexdigest()[:16]


def planned_steps(step: PlannedStep, tasks: Mapping[str, Task]) -> int:
    """Optimiser steps of one fit over the tasks a step learns; a method may fit several times."""
    if step.fit.steps:
        return step.fit.steps
    learnt = [tasks[name] for name in step.tasks if tasks[name].purpose == "learn"]
    samples = sum(len(task.splits["train"]) for task in learnt)
    return step.fit.epochs * -(-samples // step.fit.batch_size)


def versions() -> dict[str, str]:
    """What results depend on, beside the recipe."""
    import numpy as np

    import bequest

    return {"torch": torch.__version__, "numpy": np.__version__, "bequest": bequest.__version__}


def source_of(method: Any) -> dict[str, str]:
    """A digest of a method's source file and its hyper-parameters."""
    path = inspect.getsourcefile(type(method))
    source = Path(path).read_bytes() if path else b""
    return {
        "method source": hashlib.sha256(source).hexdigest()[:16],
        "method settings": method.model_dump_json(),
    }
