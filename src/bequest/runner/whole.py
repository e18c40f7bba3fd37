"""A run from its recipe to its verdict."""

from __future__ import annotations

import contextlib
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.core.errors import (
    BequestError,
    Problem,
    ReplayDiverged,
    RequestError,
    RunError,
    StoreError,
)
from bequest.core.progress import Silent
from bequest.lazy import torch
from bequest.measure import parquet
from bequest.measure.audits import without_gold
from bequest.measure.gate import judge
from bequest.measure.matrix import Matrix
from bequest.measure.rules import judged_by
from bequest.recipe.plan import differences
from bequest.report.page import EXHIBITS, PAGE, write_page
from bequest.runner.collect import collect, write_curves
from bequest.runner.exhibits import exhibits
from bequest.runner.fetching import fetch_assets
from bequest.runner.jobs import spread
from bequest.runner.preparing import inspect, prepare
from bequest.runner.result import Run
from bequest.runner.threads import fitting_threads
from bequest.runner.transcripts import write_transcripts
from bequest.runner.unexpected import in_a_line, trace
from bequest.runner.work import Work, versions
from bequest.store.files import write_json
from bequest.store.folder import RunFolder, latest_folder, new_folder
from bequest.store.log import Log
from bequest.store.processes import launched
from bequest.transfer.randomness import deterministic, kept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.core.progress import Progress
    from bequest.recipe.plan import Plan
    from bequest.runner.preparing import Prepared
    from bequest.store.processes import Processes

RUNS = "runs"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while a run was going on in `folder`, which is valid and can be resumed."""

    def __init__(self, folder: Path) -> None:
        super().__init__("interrupted")
        self.folder = folder


def run(
    recipe: str | Path | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    resume: bool = False,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
    overrides: Sequence[str] = (),
    jobs: int = 1,
    progress: Progress | None = None,
) -> Run:
    """Carry out a recipe: every stage measured, one matrix, one verdict.

    recipe: name of a built-in recipe, path of a YAML file, or the same as a mapping.
    out: folder of the run; runs/<name> when left out.
    resume: go on with the run in `out`, or with the latest of that name.
    seeds: take these instead of the recipe's.
    device: auto, cpu, cuda, cuda:1, mps.
    overrides: like `--set`: "method.temperature=2".
    jobs: seeds to work on at the same time, each in a process of its own; the bits are the same.
        A script that asks for it needs `if __name__ == "__main__":`, as each imports it again.

    Raises:
        RequestError: something is wrong with the request; nothing was written.
        RunError: it failed while running; the folder is valid and can be resumed.
    """
    if seeds is not None:
        overrides = [*overrides, f"seeds={list(seeds)}"]
    draft, plan = inspect(recipe, overrides)
    processes = launched(device)
    if jobs > 1 and processes.count > 1:
        fix = "leave --jobs out, or start bequest without a launcher"
        raise RequestError(Problem("a launcher has started several processes already", fix))
    place = processes.told(str(_place(plan, out, resume=resume)))
    folder = RunFolder(Path(place), processes)
    folder.refuse_if_busy()
    if _before(folder, plan, resume=resume).get("status") != "finished":
        shown = progress if processes.first and progress else Silent()
        with processes.in_turn():
            fetch_assets(plan, shown)
        with deterministic(), kept():
            prepared = prepare(draft, plan, device, processes)
            with fitting_threads(prepared), folder:
                before = _before(folder, plan, resume=resume)  # another process came between?
                processes.wait()  # from here on the first one writes
                if before.get("status") != "finished":
                    _in_folder(prepared, folder, before, shown, jobs)
    with processes.in_turn():
        _tidy(folder)
    return Run(folder.path)


def _tidy(folder: RunFolder) -> None:
    folder.drop_journal()
    if not (folder.path / PAGE).exists():
        write_page(folder.path)


def _place(plan: Plan, out: str | Path | None, *, resume: bool) -> Path:
    runs = Path(RUNS)
    if resume:
        path = Path(out) if out else latest_folder(runs, plan.name)
        if path is None or not RunFolder(path).exists():
            where = path or runs / plan.name
            what = f"there is no run to resume in {where}"
            raise RequestError(Problem(what, "leave --resume out"))
        return path
    path = Path(out) if out else new_folder(runs, plan.name)
    if path.exists() and not path.is_dir():
        raise RequestError(Problem(f"{path} is a file", "choose another folder with --out"))
    folder = RunFolder(path)
    if path.is_dir() and not folder.exists() and folder.strangers():
        what = f"{path} is not empty and holds no run"
        raise RequestError(Problem(what, "choose another folder with --out"))
    return path


def _before(folder: RunFolder, plan: Plan, *, resume: bool) -> dict[str, Any]:
    """What is recorded of the run to go on with; nothing for a new one.

    Raises:
        RequestError: it is the run of another recipe, or there is one and none is wanted.
    """
    if not resume:
        if folder.exists():
            fix = "go on with it by --resume, or choose another folder with --out"
            raise RequestError(Problem(f"{folder.path} already holds a run", fix))
        return {}
    record = folder.read()
    if changed := differences(record["recipe"], plan.resolved):
        listed = "; ".join(changed[:10])
        fix = "resume with the recipe it was begun with, or start a new run"
        raise RequestError(Problem(f"the recipe differs from that of {folder.path}: {listed}", fix))
    return record


def _in_folder(
    prepared: Prepared,
    folder: RunFolder,
    before: Mapping[str, Any],
    progress: Progress,
    jobs: int,
) -> None:
    log = Log(folder.log, writes=folder.processes.first)
    record = _record(prepared, folder.processes) | {"seconds": before.get("seconds", 0.0)}
    _compare_surroundings(before, record, progress)
    began = time.perf_counter()
    folder.write({**record, "status": "running"})
    try:
        log.write("resumed" if before else "began", recipe=prepared.plan.digest)
        if min(jobs, len(prepared.plan.seeds)) > 1:
            spread(prepared, folder, jobs, progress, log)
        matrix = _work(prepared, folder, progress, log)
    except BaseException as error:
        told = _told(error, folder)
        record |= {"status": "stopped", "reason": str(told)}
        record["seconds"] += time.perf_counter() - began
        with contextlib.suppress(StoreError):
            log.write("stopped", reason=str(told), traceback=trace(error))
        with contextlib.suppress(StoreError):
            folder.write(record)
        if told is error:
            raise
        raise told from error
    record["seconds"] += time.perf_counter() - began
    verdict = _verdict(prepared.plan.gate, matrix)
    folder.write({**record, "status": "finished", "verdict": verdict})
    log.write("finished", passed=verdict["passed"])


def _verdict(rules: Sequence[str], matrix: Matrix) -> dict[str, Any]:
    """The verdict as JSON. Rules that can't be judged fail the gate, but not the finished work."""
    try:
        return judge(rules, matrix).to_json()
    except RequestError as error:
        return {"passed": False, "rules": [], "error": str(error)}


def _work(prepared: Prepared, folder: RunFolder, progress: Progress, log: Log) -> Matrix:
    for task in prepared.tasks.values():
        for note in task.notes:
            progress.note(f"{task.name}: {note}")
    for name, facts in prepared.facts.items():
        for note in facts.notes:
            progress.note(f"{name}: {note}")
    plan = prepared.plan
    rows = {seed: Work(prepared, folder, seed, progress, log).run() for seed in plan.seeds}
    matrix = Matrix(collect(rows, prepared), judged_by=judged_by(plan.gate))
    for name in without_gold(matrix):
        progress.note(f"{name}: no line `gold` was asked, so its numbers are no leak by themselves")
    if folder.processes.first:
        parquet.write(matrix.cells, folder.outcomes)
        write_curves(rows, folder.curves)
        write_transcripts(matrix, prepared.asked, folder.transcripts)
        write_json(folder.metrics_json, matrix.to_json())
        write_json(folder.path / EXHIBITS, exhibits(matrix, prepared.asked))
    return matrix


def _told(error: BaseException, folder: RunFolder) -> BaseException:
    """The error as a user is told of it."""
    if isinstance(error, KeyboardInterrupt):
        return Interrupted(folder.path)
    if isinstance(error, BequestError) or not isinstance(error, Exception | SystemExit):
        return error
    return RunError(f"{in_a_line(error)}; the traceback is in {folder.log}")


def _compare_surroundings(
    before: Mapping[str, Any], record: Mapping[str, Any], progress: Progress
) -> None:
    if changed := differences(before.get("versions", record["versions"]), record["versions"]):
        raise ReplayDiverged(
            f"installed versions changed since the run began ({'; '.join(changed)}), so it would "
            "not end with the same bits; install them again, or start a new run"
        )
    if changed := differences(before.get("machine", record["machine"]), record["machine"]):
        progress.note(f"begun on another machine ({'; '.join(changed)}): the bits may differ")


def _record(prepared: Prepared, processes: Processes) -> dict[str, Any]:
    plan = prepared.plan
    return {
        "name": plan.name,
        "title": plan.title,
        "recipe": plan.resolved,
        "digest": plan.digest,
        "seeds": list(plan.seeds),
        "versions": versions(),
        "machine": {
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
            "processes": processes.count,
            "device": str(prepared.device),
        },
        "tasks": {
            name: {
                "fingerprint": task.fingerprint,
                "purpose": task.purpose,
                "asks": task.asks,
                "labels": list(task.labels),
                "samples": {side: len(split) for side, split in task.splits.items()},
                "notes": list(task.notes),
            }
            for name, task in prepared.tasks.items()
        },
        "models": {name: {"notes": list(facts.notes)} for name, facts in prepared.facts.items()},
    }
