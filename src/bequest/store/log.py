"""The run's log: one JSON object a line, for people with `grep` and for programs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from bequest.store.files import explain

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path


class Log:
    """Appends to log.jsonl; a resumed run goes on in the same file.

    writes: whether anything is written at all, as it is by the first process only.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self._path, self._writes = path, writes

    def write(self, event: str, **details: Any) -> None:
        """Add a line: the time in seconds since the epoch, the event, its details."""
        if not self._writes:
            return
        line = json.dumps({"time": round(time.time(), 3), "event": event, **details})
        try:
            with self._path.open("ab", buffering=0) as file:
                _append(file, line.encode() + b"\n")
        except OSError as error:
            raise explain(self._path, error) from error


def _append(file: FileIO, line: bytes) -> None:
    """All of the line or nothing of it: a disk may be full after its first half."""
    before = file.tell()
    try:
        while line:
            line = line[file.write(line) :]
    except OSError:
        file.truncate(before)
        raise
