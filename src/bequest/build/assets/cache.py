"""Writing into the cache: one process at a time, folders that appear whole or not at all."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from bequest.build.assets.names import home
from bequest.core.errors import Problem, RequestError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bequest.build.assets.known import Asset
    from bequest.core.progress import Progress

_ELSEWHERE = "set BEQUEST_CACHE to a folder where there is room and writing is allowed"


@contextmanager
def claimed(asset: Asset, progress: Progress) -> Iterator[None]:
    """Only one process at a time is in the block; the lock ends with the process.

    Raises:
        RequestError: the cache can't be written.
    """
    place = home(asset)
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.note(f"another process is fetching {asset.name}; waiting for it")
            lock.acquire()
    except OSError as error:
        raise unwritable(place, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` that takes its place when the block ends well.

    Raises:
        RequestError: it can't be written; `folder` is as it was.
    """
    fresh, old = (folder.with_name(f".{folder.name}.{word}") for word in ("new", "old"))
    try:
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir()
        yield fresh
        if folder.exists():
            folder.replace(old)
        fresh.replace(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    except StoreError as error:
        raise RequestError(Problem(str(error).partition(";")[0], _ELSEWHERE)) from error
    finally:
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)


def need_room(place: Path, size: int) -> None:
    """Look whether `size` bytes fit.

    Raises:
        RequestError: they don't.
    """
    free = shutil.disk_usage(place).free
    if free < size:
        what = f"{place} has room for {free / 1e6:,.0f} MB; {size / 1e6:,.0f} MB are needed"
        raise RequestError(Problem(what, _ELSEWHERE))


def unwritable(path: Path, error: OSError) -> RequestError:
    """What the operating system said against writing, and what to do about it."""
    return RequestError(Problem(f"{path} can't be written: {error.strerror or error}", _ELSEWHERE))
