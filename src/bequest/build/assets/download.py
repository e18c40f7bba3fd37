"""A file from the network: goes on where it was cut, and counts only when its checksum is right."""

from __future__ import annotations

import hashlib
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

from bequest.build.assets.cache import unwritable
from bequest.build.assets.web import reason
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from bequest.build.assets.known import Wheel
    from bequest.build.assets.web import Web
    from bequest.core.progress import Progress

_CHUNK = 1 << 20
_TRIES = 4
_GONE_TOO_FAR = 416


def download(web: Web, url: str, wheel: Wheel, target: Path, progress: Progress) -> None:
    """Bring the wheel at `url` to `target`; what an earlier try left is gone on from.

    Raises:
        RequestError: it can't be had, can't be written, or isn't the file expected.
    """
    part = target.with_name(f"{target.name}.part")
    begun = part.exists()
    progress.begin(f"fetching {wheel.filename}, in MiB", _mib(wheel.size))
    _bring(web, url, wheel, part, progress)
    if begun and digest(part) != wheel.sha256:
        # The beginning was another file's, or damaged.
        part.unlink()
        _bring(web, url, wheel, part, progress)
    progress.end()
    if digest(part) != wheel.sha256:
        part.unlink()
        raise RequestError(wrong_file(wheel.filename))
    part.replace(target)


def wrong_file(name: str) -> Problem:
    """The problem of a file with another checksum than the pinned one."""
    return Problem(
        f"{name} is not the file expected: its checksum is another",
        "the index or the file may be damaged or tampered with; nothing of it was kept",
    )


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bring(web: Web, url: str, wheel: Wheel, part: Path, progress: Progress) -> None:
    why = ""
    for tried in range(_TRIES):
        time.sleep(tried / 4)
        try:
            _append(web, url, wheel, part, progress)
        except (OSError, HTTPException) as error:
            why = reason(error)
            if isinstance(error, HTTPError) and error.code < 500:
                break
        else:
            if part.stat().st_size >= wheel.size:
                return
            why = "the connection was cut"
    raise RequestError(
        Problem(
            f"{wheel.filename} could not be fetched: {why}",
            "try again: it goes on where it was cut; without a network give the file "
            "with `bequest get NAME --from FILE`",
        )
    )


def _append(web: Web, url: str, wheel: Wheel, part: Path, progress: Progress) -> None:
    """One request for what is missing, written behind what is there."""
    here = part.stat().st_size if part.exists() else 0
    if here >= wheel.size:
        return
    with web.open(url, {"Range": f"bytes={here}-"} if here else {}) as answer:
        if here and not _goes_on(answer, here):
            here = 0
        began = time.monotonic()
        try:
            file = part.open("ab" if here else "wb")
        except OSError as error:
            raise unwritable(part, error) from error
        with file:
            first = here
            # One byte more than expected is enough to know that it is another file.
            while here <= wheel.size and (data := answer.read(_CHUNK)):
                _write(file, data, part)
                here += len(data)
                pace = _mib(here - first) / max(time.monotonic() - began, 1e-3)
                progress.advance(max(_mib(here), 1), _mib(wheel.size), {"MiB/s": pace})


def _write(file: Any, data: bytes, part: Path) -> None:
    try:
        file.write(data)
        file.flush()
    except OSError as error:
        raise unwritable(part, error) from error


def _goes_on(answer: Any, here: int) -> bool:
    """Whether the answer begins where asked; a server may also begin at the start."""
    told = str(answer.headers.get("Content-Range", ""))
    return getattr(answer, "status", None) == 206 and told.startswith(f"bytes {here}-")


def _mib(size: int) -> int:
    return -(-size // (1 << 20))
