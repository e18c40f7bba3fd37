"""The one place where files are written: each appears whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bequest.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SEAL = "checksum"
_WORDS = {
    errno.ENOSPC: ("the disk is full", "free some space, then go on with --resume"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, then go on with --resume"),
    errno.EROFS: ("the file system is read-only", "choose another folder with --out"),
    errno.EACCES: ("writing there is not allowed", "choose another folder with --out"),
    errno.EPERM: ("writing there is not allowed", "choose another folder with --out"),
    errno.ENOENT: ("the folder is gone", "was it moved or deleted while the run was going on?"),
    errno.EFBIG: ("the file would be larger than the system allows", "see `ulimit -f`"),
}


def explain(path: Path, error: OSError) -> StoreError:
    """An operating system's error in words, with what to do about it."""
    what, fix = _WORDS.get(error.errno or 0, (error.strerror or str(error), ""))
    return StoreError(f"{path} could not be written: {what}" + (f"; {fix}" if fix else ""))


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place, synced to disk, when the block ends.

    Raises:
        StoreError: it could not be written; `path` is as it was before.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise explain(path, error) from error
    finally:
        _discard(temporary)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` that takes its place, synced to disk, when the block ends.

    Raises:
        StoreError: it could not be written; `path` is as it was before.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        _discard_folder(temporary)
        temporary.mkdir(parents=True)
        yield temporary
        for file in temporary.rglob("*"):
            _sync(file)
        _discard_folder(path)  # a folder can't be renamed onto one that holds something
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise explain(path, error) from error
    finally:
        _discard_folder(temporary)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Let no other process make the file at `path` while the block lasts.

    Raises:
        StoreError: it can't be claimed.
    """
    from filelock import FileLock  # seldom needed

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        lock.acquire()
    except OSError as error:
        raise explain(path, error) from error
    try:
        yield
    finally:
        lock.release()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with a checksum of itself; whole or not at all."""
    # For machines, so not indented: that would take the slow encoder.
    write_text(path, json.dumps({**value, _SEAL: _seal(value)}, ensure_ascii=False))


def read_sealed(path: Path) -> dict[str, Any]:
    """The object that `write_sealed` wrote.

    Raises:
        StoreError: the file is missing or damaged.
    """
    value = read_json(path)
    if not isinstance(value, dict) or value.pop(_SEAL, None) != _seal(value):
        raise StoreError(f"{path} is damaged: its checksum is another")
    return value


def digest_of(path: Path) -> str:
    """A hash of a file's bytes.

    Raises:
        StoreError: it is missing or can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise StoreError(f"{path} could not be read: {error.strerror}") from error


def read_json(path: Path, limit: int = 64 << 20) -> Any:
    """The JSON value in `path`, of at most `limit` bytes.

    Raises:
        StoreError: the file is missing, larger than the limit, or no JSON.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise StoreError(f"{path} is {size:,} bytes; at most {limit:,} are expected")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path} could not be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: no JSON ({error})") from error


def _seal(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # a read-only or vanished folder: there is nothing left to tidy
        return


def _discard_folder(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
