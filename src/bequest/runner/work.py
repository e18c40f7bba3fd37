"""One seed of a run: the given models, then step after step, each a journal entry."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import sys
from functools import cache, partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.core.errors import NotFinite, RunError
from bequest.core.find import known
from bequest.core.parts import Method
from bequest.core.stage import Stage
from bequest.lazy import torch
from bequest.measure.rows import CHECKPOINT, GIVEN, MAIN
from bequest.recipe.schema import FitSettings
from bequest.runner.roster import Held, Roster
from bequest.runner.scoring import score_stage
from bequest.store.journal import Journal
from bequest.store.packs import write_pack
from bequest.transfer.bench import Bench
from bequest.transfer.health import odd_weight
from bequest.transfer.randomness import seeded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.core.find import Kind
    from bequest.core.live import Model, Task
    from bequest.core.parts import TaskSpec
    from bequest.core.progress import Progress
    from bequest.recipe.plan import Plan, PlannedStep
    from bequest.runner.preparing import Prepared
    from bequest.store.folder import RunFolder
    from bequest.store.log import Log
    from bequest.transfer.fit import Fitted

WITHIN = "within"
_NOBODY: Mapping[str, str] = {}
_OF_MODELS = ("transformers", "tokenizers", "peft")  # asked by name: importing them takes seconds


class Work:
    """A prepared run under one seed, going on from whatever its journal holds."""

    def __init__(
        self, prepared: Prepared, folder: RunFolder, seed: int, progress: Progress, log: Log
    ) -> None:
        self._tasks, self._asked = prepared.tasks, prepared.asked
        self._device = prepared.device
        self._steps = prepared.plan.steps
        self._folder, self._seed = folder, seed
        self._progress, self._log = progress, log
        self._roster = Roster(prepared, folder, seed)
        self._rows: list[dict[str, Any]] = []
        self._settings = versions() | sources_of_parts(prepared.plan)
        self._made_by = {step.name: source_of(step.method) for step in self._steps}
        self._warned = False

    def run(self) -> list[dict[str, Any]]:
        """Do what is left to do; gives a record of every row, in order."""
        outer = self._journal(self._folder.journal(self._seed), -1)
        data = data_digest(self._tasks)
        for number, step in enumerate([None, *self._steps]):
            name = step.name if step else GIVEN
            made_by = self._made_by[step.name] if step else {}
            folder = self._folder.journal(self._seed) / name
            journal = self._journal(folder, number, made_by)
            entry = outer.entry("step", name, {"tasks": data, **made_by})
            try:
                done = entry.result()
            except LookupError:
                steps = planned_steps(step, self._tasks) if step else 0
                self._progress.begin(f"{name} · seed {self._seed}", steps)
                # A method may draw from the global generators between its entries.
                with seeded(journal.seed_of("")):
                    done = list(self._step(step, journal) if step else self._given(journal))
                # All that was made is there now, and nobody asks any more whether the entry is.
                self._folder.processes.wait()
                entry.commit(done)
                self._progress.end()
            self._rows += done
            if step:
                with entry.redone_without():
                    self._roster.take_up(step, len(self._rows) - 1)
            journal.forget()
        return self._rows

    def _given(self, journal: Journal) -> Iterator[dict[str, Any]]:
        for name, held in self._roster.given().items():
            stage = Stage(name, held.model, of=name, line=GIVEN)
            place: dict[str, Any] = {"step": GIVEN, "of": name, "after": None, "curves": []}
            yield _about(stage) | place | self._scored(stage, journal)

    def _step(self, step: PlannedStep, journal: Journal) -> Iterator[dict[str, Any]]:
        filled = self._roster.fill(step)
        bench = self._bench(step, filled, journal)
        before, within = _Before(filled, len(self._rows)), self._within(step, journal)
        counted = 0
        for stage in step.method.transfer(bench):
            # What was trained up to here is told by the stage that ends it.
            fits = [] if _is_moment(stage) else bench.fits[counted:]
            counted += len(fits)
            place: dict[str, Any] = {"step": step.name, **before.take(stage)}
            _refuse_odd_weights(step.name, stage)
            scored = self._scored(stage, within if _is_moment(stage) else journal)
            self._keep_packs(step, stage)
            yield {
                **_about(_on_line(stage, step.line)),
                **place,
                **scored,
                "curves": [fit.curves for fit in fits],
                "costs": {**_spent(fits), **_ended(step.method, fits), **scored["costs"]},
            }
        self._roster.deliver(step, filled)

    def _scored(self, stage: Stage, journal: Journal) -> dict[str, Any]:
        return score_stage(stage, self._asked, journal, self._bench_of_audit, self._progress)

    def _bench_of_audit(self, model: Model, task: Task, journal: Journal) -> Bench:
        def fresh(role: str) -> Model:
            raise RunError(f"an audit has the model it asks, and no fresh one for `{role}`")

        return Bench(
            models={"student": model},
            tasks=[task],
            fresh=fresh,
            journal=journal,
            settings=getattr(task, "fit", FitSettings()),
            seed=self._seed,
            device=self._device,
            progress=self._advance,
        )

    def _keep_packs(self, step: PlannedStep, stage: Stage) -> None:
        if self._folder.processes.first:
            for name, pack in stage.deliver.items():
                write_pack(self._folder.pack(step.name, self._seed, name), pack)

    def _within(self, step: PlannedStep, journal: Journal) -> Journal:
        """The journal of moments, apart so that looking more often changes nothing in what follows.

        Random numbers of an entry derive from its place among the others.
        """
        made_by = self._made_by[step.name]
        return self._journal(journal.folder / WITHIN, journal.seed_of(WITHIN), made_by)

    def _journal(self, folder: Path, number: int, made_by: Mapping[str, str] = _NOBODY) -> Journal:
        settings, processes = {**self._settings, **made_by}, self._folder.processes
        shared = self._folder.shared
        return Journal(folder, (self._seed, number), settings, processes=processes, shared=shared)

    def _bench(
        self, step: PlannedStep, filled: Mapping[str, Held | list[Held]], journal: Journal
    ) -> Bench:
        models = {
            role: [one.model for one in held] if isinstance(held, list) else held.model
            for role, held in filled.items()
        }
        return Bench(
            models=models,
            tasks=[self._tasks[name] for name in step.tasks],
            purposes=step.purposes,
            fresh=lambda role: self._roster.fresh(_origin(filled, role)),
            journal=journal,
            settings=step.fit,
            seed=self._seed,
            device=self._device,
            progress=self._advance,
            notice=partial(self._notice, step.name),
            note=partial(self._note, step.name),
        )

    def _advance(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        self._progress.advance(step, steps, values)
        if values:
            self._log.write("fit", step=step, steps=steps, **values)

    def _note(self, step: str, text: str) -> None:
        self._log.write("note", step=step, seed=self._seed, text=text)
        self._progress.note(f"{step}: {text}")

    def _notice(self, step: str, at: int, found: Mapping[str, Any]) -> None:
        self._log.write("health", step=step, seed=self._seed, at=at, **found)
        if "training" in found and not self._warned:
            self._warned = True
            names = ", ".join(found["training"])
            self._progress.note(
                f"{step}: {names} should be frozen, but was in training mode when the loss asked; "
                f"see `bequest doctor {self._folder.path}`"
            )


class _Before:
    """Follows a step's stages: which row shows the state that each goes on from."""

    def __init__(self, filled: Mapping[str, Held | list[Held]], first: int) -> None:
        self._filled = filled
        self._next = first
        self._latest: dict[tuple[str, str], int] = {}

    def take(self, stage: Stage) -> dict[str, Any]:
        """The input model the stage is a state of, and the row before it."""
        origin, line = _origin(self._filled, stage.of), (stage.of, stage.line)
        held = self._filled.get(stage.of)
        start = held.row if isinstance(held, Held) else None
        after = self._latest.get(line, start)
        if not _is_moment(stage):
            self._latest[line] = self._next
        self._next += 1
        return {"of": origin, "after": after}


def _refuse_odd_weights(step: str, stage: Stage) -> None:
    """Refuse a model that is no longer made of numbers, such as one that was merged of such.

    Raises:
        NotFinite: says which weight.
    """
    if odd := odd_weight({"": stage.model.module}):
        fix = "look at the models that the step was given, and at its settings"
        raise NotFinite(f"step `{step}` ended with a model whose {odd}; {fix}")


def _is_moment(stage: Stage) -> bool:
    """Whether the stage lies within the learning of a task, rather than at its end."""
    return CHECKPOINT in stage.at


def _origin(filled: Mapping[str, Held | list[Held]], role: str) -> str:
    held = filled.get(role)
    return held.origin if isinstance(held, Held) else role


def _on_line(stage: Stage, line: str) -> Stage:
    """A step's own line replaces `main`; a method's reference lines stay."""
    return dataclasses.replace(stage, line=line) if stage.line == MAIN else stage


def _about(stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "learned": stage.learned,
        "line": stage.line,
        "at": dict(stage.at),
    }


def _spent(fits: Sequence[Fitted]) -> dict[str, float]:
    return {
        "seconds": sum(fit.cost["seconds"] for fit in fits),
        "peak_memory": max((fit.cost["peak_memory"] for fit in fits), default=0.0),
    }


def _ended(method: Method, fits: Sequence[Fitted]) -> dict[str, float]:
    """What the terms that a method wants to be kept came to: at the last point of its last fit."""
    if not fits:
        return {}
    last = {point["term"]: point["value"] for point in fits[-1].curves}
    return {name: last[term] for name, term in method.final_terms.items()}


def planned_steps(step: PlannedStep, tasks: Mapping[str, Task]) -> int:
    """Optimiser steps of one fit over the tasks a step learns; a method may fit several times."""
    if step.fit.steps:
        return step.fit.steps
    purposes = step.method.requires.purposes or ("learn",)
    purpose = purposes[0]  # the one that an epoch goes over
    samples = sum(len(tasks[name].splits["train"]) for name in step.with_purpose(purpose))
    return step.fit.epochs * -(-samples // step.fit.batch_size)


def data_digest(tasks: Mapping[str, Task]) -> str:
    """A digest of all data and how they were prepared."""
    prints = "".join(task.fingerprint for task in tasks.values())
    return hashlib.sha256(prints.encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """What results depend on, beside the recipe."""
    import bequest

    found = {name: version(name) for name in ("numpy", *_OF_MODELS)}
    return {"torch": torch.__version__, **found, "bequest": bequest.__version__}


def source_of(method: Any) -> dict[str, str]:
    """A digest of the source files of a method and its bases, and its hyper-parameters."""
    bases = type(method).__mro__
    files = [inspect.getsourcefile(base) for base in bases[: bases.index(Method)]]
    return {
        "method source": _digest_of(*files),
        "method settings": method.model_dump_json(),
    }


def source_of_task(spec: type[TaskSpec]) -> str:
    """A digest of the file of a task, and of the modules that an audit says it is made of."""
    modules = [sys.modules[spec.__module__], *map(import_module, getattr(spec, "works_in", ()))]
    return _digest_of(*(module.__file__ for module in modules))


def sources_of_parts(plan: Plan) -> dict[str, str]:
    """A digest of the files that the models and tasks of a recipe are written in."""
    kinds: tuple[Kind, ...] = ("models", "tasks")
    uses = {(kind, str(part["use"])) for kind in kinds for part in plan.resolved[kind].values()}
    modules = {
        use.partition(":")[0] if ":" in use else known(kind)[use].module for kind, use in uses
    }
    modules |= {name for spec in plan.tasks.values() for name in getattr(spec, "works_in", ())}
    digests = "".join(_digest_of(import_module(module).__file__) for module in sorted(modules))
    return {"source of models and tasks": hashlib.sha256(digests.encode()).hexdigest()[:16]}


@cache
def _digest_of(*files: str | None) -> str:
    # Read once: what is edited while the run goes on is not what it runs.
    source = b"".join(Path(file).read_bytes() for file in files if file)
    return hashlib.sha256(source).hexdigest()[:16]
