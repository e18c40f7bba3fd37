"""Run folders: claimed by one process at a time, valid at every moment."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError, RunBusy, RunError
from bequest.store.files import explain, read_json, write_json
from bequest.store.processes import ALONE

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from bequest.store.processes import Processes


_LOCK = ".lock"
_FIRST = {_LOCK, ".run.json.tmp"}


class Lock:
    """An open lock file that goes along to a process that is started with it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __getstate__(self) -> Any:
        from multiprocessing.reduction import DupFd  # seldom needed, and slow to import

        return DupFd(self.descriptor)

    def __setstate__(self, duplicate: Any) -> None:
        self.descriptor = duplicate.detach()


class RunFolder:
    """A folder that holds one run.

    Used as a context manager it is claimed for writing: the lock ends with the process, even when
    that is killed, so nothing stale is ever left behind.

    processes: who works on the run; the first of them claims the folder and writes.
    """

    def __init__(self, path: Path, processes: Processes = ALONE) -> None:
        self.path, self.processes = path, processes
        self._lock: int | None = None

    run_json = property(lambda self: self.path / "run.json")
    metrics_json = property(lambda self: self.path / "metrics.json")
    outcomes = property(lambda self: self.path / "outcomes.parquet")
    curves = property(lambda self: self.path / "curves.parquet")
    transcripts = property(lambda self: self.path / "transcripts.parquet")
    log = property(lambda self: self.path / "log.jsonl")

    @property
    def lock(self) -> Lock:
        """The claim as an argument of a process that is to keep it too, for as long as it lives.

        Raises:
            RunError: the folder is not claimed.
        """
        if self._lock is None:
            raise RunError(f"{self.path} is not claimed")
        return Lock(self._lock)

    def journal(self, seed: int) -> Path:
        """Where the entries of a seed lie, those of each step in a folder of its own."""
        return self.path / "journal" / f"seed-{seed}"

    @property
    def shared(self) -> Path:
        """Where files lie that entries of several steps and seeds ask for, until the run ends."""
        return self.path / "journal" / "shared"

    def model(self, step: str, role: str, seed: int) -> Path:
        """Where the model a step delivers in a role lies."""
        return self.path / "models" / step / role / f"seed-{seed}"

    def pack(self, step: str, seed: int, name: str) -> Path:
        """Where a pack that a stage delivers lies."""
        return self.path / "packs" / step / f"seed-{seed}" / f"{name}.safetensors"

    def drop_journal(self) -> None:
        """Delete the journal of a finished run: everything in it stands elsewhere."""
        if self.processes.first:
            shutil.rmtree(self.path / "journal", ignore_errors=True)

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return bool(self.run_json.exists())

    def strangers(self) -> list[str]:
        """Names of what lies here and is not from a run that ended before its first file."""
        return [entry.name for entry in self.path.iterdir() if entry.name not in _FIRST]

    def refuse_if_busy(self) -> None:
        """Look whether another process is writing here, and leave everything as it is.

        Raises:
            RunBusy: one is.
        """
        if not self.processes.first:
            return
        try:
            lock = os.open(self.path / _LOCK, os.O_RDONLY)
        except OSError:  # never claimed
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise self._busy(lock) from error
        finally:
            os.close(lock)

    def read(self) -> dict[str, Any]:
        """What run.json says.

        Raises:
            RequestError: there is no run here.
        """
        if not self.exists():
            raise RequestError(Problem(f"{self.path} holds no run", "give the folder of a run"))
        record: dict[str, Any] = read_json(self.run_json)
        if not _is_record(record):
            raise RequestError(f"{self.run_json} is not a run's record")
        return record

    def write(self, record: dict[str, Any]) -> None:
        """Replace run.json."""
        if self.processes.first:
            write_json(self.run_json, record)

    def __enter__(self) -> RunFolder:
        if not self.processes.first:
            return self
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RequestError(str(explain(self.path, error))) from error
        try:
            self._claim(lock)
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _claim(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        except BlockingIOError as error:
            raise self._busy(lock) from error
        except OSError as error:
            raise RequestError(str(explain(self.path, error))) from error

    def _busy(self, lock: int) -> RunBusy:
        owner = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        return RunBusy(
            Problem(
                f"process {owner} is writing to {self.path}",
                "wait for it, or choose another folder with --out",
            )
        )


def _is_record(record: Any) -> bool:
    """Whether what others rely on is there: the recipe as a mapping, its gate a list of rules."""
    recipe = record.get("recipe") if isinstance(record, dict) else None
    rules = recipe.get("gate", []) if isinstance(recipe, dict) else None
    return isinstance(rules, list) and all(isinstance(rule, str) for rule in rules)


def new_folder(runs: Path, name: str) -> Path:
    """The first of runs/name, runs/name-2, runs/name-3 … that does not exist."""
    number = 1
    while (folder := runs / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return folder


def latest_folder(runs: Path, name: str) -> Path | None:
    """The newest run of that name in `runs`, by the number behind it."""
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?")
    found = [
        (int(match[1] or 1), path)
        for path in (runs.iterdir() if runs.is_dir() else ())
        if (match := pattern.fullmatch(path.name)) and RunFolder(path).exists()
    ]
    return max(found)[1] if found else None
