"""The run's record of finished work: what makes a killed run go on, bit for bit.

Whatever costs or draws random numbers is one *entry*. An entry's key is its position: step, seed,
number. What went in is not part of the key but verified when the entry is met again, so that a
changed method, setting or version is a clear `ReplayDiverged` and never a silently mixed run.
An entry counts once its `.json` stands; its tensors are written before.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bequest.core.errors import ReplayDiverged, StoreError
from bequest.store.files import read_sealed, write_sealed
from bequest.store.processes import ALONE
from bequest.store.tensors import (
    flatten,
    load_noted,
    load_tensors,
    matched,
    save_tensors,
    understood,
    unflatten,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import torch

    from bequest.store.processes import Processes

_NOWHERE: Mapping[str, Any] = {}


def derive(*parts: str | int) -> int:
    """A seed of 63 bits from a position, such as (run seed, step number, entry number)."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


class Journal:
    """The entries of one step under one seed, in the order in which they are asked for.

    folder: where they lie, `journal/seed-<seed>/<step>`.
    position: what random numbers derive from, (seed, number of the step).
    settings: what every entry of the step depends on: versions, the method's source and fields.
    committed: called with an entry's name after it has been written.
    processes: who works on the run; only the first of them writes.
    shared: where files lie that other steps and seeds find too; in `folder` when left out.
    """

    def __init__(
        self,
        folder: Path,
        position: tuple[int, int],
        settings: Mapping[str, str],
        committed: Callable[[str], None] = lambda name: None,
        processes: Processes = ALONE,
        shared: Path | None = None,
    ) -> None:
        self.folder = folder
        self.shared = shared or folder
        self._position = position
        self._settings = settings
        self.processes = processes
        self._committed = committed
        self._number = 0

    def entry(self, kind: str, name: str, went_in: Mapping[str, str]) -> Entry:
        """The next entry; it may already have been finished by an earlier process."""
        number = self._number
        self._number += 1
        stem = f"{number:04d}-{kind}-{_slug(name)}"
        inputs = {"kind": kind, "name": name, **self._settings, **went_in}
        seed = derive(*self._position, number)
        return Entry(self.folder, stem, seed, inputs, self._committed, self.processes)

    def within(self, entry: Entry, name: str) -> Journal:
        """A journal of the work that makes one of its entries; only the first process has it."""
        folder = self.folder / entry.stem / _slug(name)
        position = (entry.seed, derive(entry.seed, name))
        return Journal(folder, position, self._settings, self._committed, shared=self.shared)

    def seed_of(self, name: str) -> int:
        """A seed for random numbers that a method draws under `name`."""
        return derive(*self._position, "rng", name)

    def shared_file(self, suffix: str, made_from: Mapping[str, str]) -> Path:
        """Where a file lies that follows from what it was made from, whoever makes it."""
        text = json.dumps(dict(made_from), sort_keys=True).encode()
        return self.shared / f"{hashlib.blake2b(text, digest_size=16).hexdigest()}.{suffix}"

    def forget(self) -> None:
        """Drop every entry: the step is finished and has delivered what it keeps."""
        if self.processes.first:
            shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Entry:
    """One piece of work: a fit, a remembered result, the scores of a stage."""

    folder: Path
    stem: str
    seed: int
    inputs: Mapping[str, str]
    committed: Callable[[str], None]
    processes: Processes

    def result(self, into: Mapping[str, Any] = _NOWHERE) -> Any:
        """What the finished entry holds; raises LookupError if it isn't finished.

        into: tensors that are filled with those at the same places, such as {"modules": {name:
            tensor}}; so a large model is not held twice.

        Raises:
            ReplayDiverged: it was finished with other inputs.
            StoreError: its files are missing or damaged.
        """
        path = self._path("json")
        if not path.exists():
            if self.processes.first:  # which may be ahead of the others
                self._refuse_other_work()
            raise LookupError(self.stem)
        with self.redone_without():
            record = read_sealed(path)
            with understood(path):
                self._verify(record["inputs"])
                skeleton, tensors = record["result"], {}
                if record["tensors"]:
                    places = matched(skeleton, into)
                    tensors = load_tensors(self._path("safetensors"), places)
                return unflatten(skeleton, tensors)

    def commit(self, result: Any) -> None:
        """Write the result; from now on the entry is finished, and its checkpoint is dropped."""
        if not self.processes.first:
            return
        skeleton, tensors = flatten(result)
        if tensors:
            save_tensors(self._path("safetensors"), tensors)
        record = {"inputs": dict(self.inputs), "tensors": bool(tensors), "result": skeleton}
        write_sealed(self._path("json"), record)
        self._path("checkpoint").unlink(missing_ok=True)
        self.committed(self.stem)

    def made_once(self, make: Callable[[], Any]) -> Any:
        """The result, made and written by the first process if it isn't there, read by the others.

        Raises:
            ReplayDiverged, StoreError: as for `result`.
        """
        with self.processes.in_turn():
            try:
                return self.result()
            except LookupError:
                if not self.processes.first:
                    raise
            made = make()
            self.commit(made)
            return made

    def save_checkpoint(self, state: Any) -> None:
        """Keep the state of unfinished work, replacing the checkpoint before."""
        skeleton, tensors = flatten(state)
        note = {"inputs": json.dumps(dict(self.inputs)), "skeleton": json.dumps(skeleton)}
        save_tensors(self._path("checkpoint"), tensors, note)

    def checkpoint(self, into: Mapping[str, Any] = _NOWHERE) -> Any:
        """The last checkpoint, or None; `into` as for `result`.

        Raises:
            ReplayDiverged: it was written with other inputs.
            StoreError: it is damaged.
        """
        path = self._path("checkpoint")
        if not path.exists():
            return None

        def checked(note: Mapping[str, str]) -> dict[str, torch.Tensor]:
            self._verify(json.loads(note["inputs"]))
            return matched(json.loads(note["skeleton"]), into)

        with self.redone_without("checkpoint"), understood(path):
            tensors, note = load_noted(path, checked)
            return unflatten(json.loads(note["skeleton"]), tensors)

    @contextmanager
    def redone_without(self, suffix: str = "json") -> Iterator[None]:
        """Add to a `StoreError` within how to have damaged work done again."""
        try:
            yield
        except StoreError as error:
            fix = f"delete {self._path(suffix)} and resume, and that work is done again"
            raise StoreError(f"{error}; {fix}") from error

    def side_file(self, suffix: str) -> Path:
        """Where a file that belongs to this entry lies."""
        return self._path(suffix)

    def _path(self, suffix: str) -> Path:
        return self.folder / f"{self.stem}.{suffix}"

    def _verify(self, then: Mapping[str, str]) -> None:
        changed = [
            f"{key}: {_short(then.get(key))} then, {_short(self.inputs.get(key))} now"
            for key in {**then, **self.inputs}
            if then.get(key) != self.inputs.get(key)
        ]
        if changed:
            raise ReplayDiverged(
                f"journal entry {self.stem} was made with other inputs "
                f"({'; '.join(changed[:10])}); put back what changed, or start a new run"
            )

    def _refuse_other_work(self) -> None:
        number = self.stem.partition("-")[0]
        others = [path.stem for path in self.folder.glob(f"{number}-*.json")]
        if others:
            raise ReplayDiverged(
                f"the journal holds {others[0]} where the resumed run asks for {self.stem}; "
                "was the method edited? Put it back, or start a new run"
            )


def _short(value: object) -> str:
    return "—" if value is None else str(value)[:80]


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:40] or "entry"
