"""Seeds spread over processes of this machine, each doing whole seeds under the same run folder.

The journals of seeds lie apart, so that workers never meet. When they are done, the run goes over
all seeds itself and finds every step finished. A worker ends with the process that started it, and
holds the folder's lock as long as it lives: nobody else writes there while it does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from bequest.core.errors import BequestError, RunError
from bequest.lazy import torch
from bequest.runner.preparing import inspect, prepare
from bequest.runner.unexpected import in_a_line, trace
from bequest.runner.work import Work
from bequest.store.folder import RunFolder
from bequest.store.log import Log
from bequest.transfer.randomness import deterministic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from bequest.core.progress import Progress
    from bequest.runner.preparing import Prepared
    from bequest.store.folder import Lock


@dataclass(frozen=True)
class _Order:
    """What a worker needs to know; `lock` is the folder's, to be held by the worker too."""

    recipe: Mapping[str, Any]
    device: str
    threads: int
    folder: Path
    lock: Lock


def spread(prepared: Prepared, folder: RunFolder, jobs: int, progress: Progress, log: Log) -> None:
    """Do every seed of a prepared run, `jobs` at a time, each in a process of its own.

    Raises:
        BequestError: what a worker raised; the others are stopped.
        RunError: a worker ended without a word.
    """
    seeds = list(prepared.plan.seeds)
    order = _Order(
        prepared.plan.resolved,
        str(prepared.device),
        torch.get_num_threads(),
        folder.path,
        folder.lock,
    )
    workers: dict[Connection, SpawnProcess] = {}
    try:
        for _ in seeds[:jobs]:
            line, process = _started(order)
            workers[line] = process
        _listen(workers, seeds, progress, log)
    finally:
        for process in workers.values():
            process.kill()
            process.join()


def _started(order: _Order) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_worker, args=(order, theirs), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _listen(
    workers: dict[Connection, SpawnProcess], seeds: list[int], progress: Progress, log: Log
) -> None:
    """Hand out seeds and pass on what workers say, until all have ended."""
    while workers:
        for line in connection.wait(list(workers)):
            assert isinstance(line, connection.Connection)  # noqa: S101 — no sockets here
            try:
                said, *rest = line.recv()
            except EOFError:
                _check_end(workers.pop(line))
                continue
            if said == "ready":
                line.send(seeds.pop(0) if seeds else None)
            elif said == "failed":
                raise rest[0]
            elif said == "log":
                log.write(rest[0], **rest[1])
            else:
                progress.note(rest[0])


def _check_end(process: SpawnProcess) -> None:
    process.join()
    if process.exitcode:
        raise RunError(
            f"a worker ended without a word (exit code {process.exitcode}); was there too little "
            "memory? Go on with --resume, and fewer --jobs"
        )


def _worker(order: _Order, line: Connection) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # both are for the process that started this one
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    log = _FarLog(line)
    try:
        _do_seeds(order, _Teller(line), log)
    except BequestError as error:
        line.send(("failed", error))
    except Exception as error:  # noqa: BLE001 — told by the process that started this one
        log.write("worker failed", traceback=trace(error))
        place = RunFolder(order.folder).log
        line.send(("failed", RunError(f"{in_a_line(error)}; the traceback is in {place}")))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do_seeds(order: _Order, teller: _Teller, log: _FarLog) -> None:
    torch.set_num_threads(order.threads)
    with deterministic():
        prepared = prepare(*inspect(order.recipe), order.device)
        while (seed := teller.next_seed()) is not None:
            Work(prepared, RunFolder(order.folder), seed, teller, log).run()


class _Teller:
    """What a worker says to the process that started it, and hears from it."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._work, self._began = "", 0.0

    def next_seed(self) -> int | None:
        """The next seed to do, or None when there is none left."""
        self._line.send(("ready",))
        seed: int | None = self._line.recv()
        return seed

    def begin(self, work: str, steps: int) -> None:
        """Remember what began."""
        self._work, self._began = work, time.monotonic()

    def advance(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Nothing: several at a time would only hide each other."""

    def doing(self, what: str) -> None:
        """Nothing, for the same reason."""

    def end(self) -> None:
        """A line with the time it took."""
        self.note(f"{self._work}: done in {time.monotonic() - self._began:.1f} s")

    def note(self, text: str) -> None:
        """A line."""
        self._line.send(("note", text))


class _FarLog(Log):
    """A log that the process that started this one writes."""

    def __init__(self, line: Connection) -> None:
        self._line = line

    def write(self, event: str, **details: Any) -> None:
        """Send the line there."""
        self._line.send(("log", event, details))
