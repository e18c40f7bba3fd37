"""The run's log: one JSON object a line, for people with `grep` and for programs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from bequest.store.files import explain

if TYPE_CHECKING:
    from pathlib import Path


class Log:
    """Appends to log.jsonl; a resumed run goes on in the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, event: str, **details: Any) -> None:
        """Add a line: the time in seconds since the epoch, the event, its details."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **details})
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise explain(self._path, error) from error
