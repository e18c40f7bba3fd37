"""Pictures in files: decoded once where they fit in memory, else whenever they are asked for."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from PIL import Image, ImageOps

from bequest.build.assemble import assemble
from bequest.build.splitting import array_ids
from bequest.core.errors import Problem, RequestError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.build.assemble import Prepared, Sides
    from bequest.build.classification import Classification
    from bequest.build.settings import ImageSettings
    from bequest.build.splitting import Pool

FORMATS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}
_MOST_PIXELS = 80_000_000
_MEMORY = 1 << 30
_AT_ONCE = 1024
_SHOWN = 10
_BROKEN = (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError, Warning)
_LARGE, _ONE_LARGE = 16_000_000, Lock()  # pixels; several such at once would take gigabytes


class Sources(Protocol):
    """Where pictures are: a path, or the content of a file, by position."""

    def __len__(self) -> int:
        """Number of pictures."""
        ...

    def __getitem__(self, index: int, /) -> Path | bytes:
        """The picture at `index`."""
        ...


class ImageFiles:
    """Pictures decoded on demand; indexed like an array uint8 [n, channels, size, size]."""

    def __init__(
        self, sources: Sources, size: int, channels: int, rows: NDArray[np.int64] | None = None
    ) -> None:
        self._sources = sources
        self._size, self._channels = size, channels
        self._rows = np.arange(len(sources)) if rows is None else rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, channels, size, size)."""
        return len(self._rows), self._channels, self._size, self._size

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        """The pictures at `rows`: a position, a slice, or an array of positions or booleans.

        Raises:
            StoreError: one can't be read any more.
        """
        wanted = self._rows[rows]
        decoded = self.decoded(np.atleast_1d(wanted))
        broken = [found for found in decoded if isinstance(found, str)]
        if broken:
            raise StoreError(f"a picture can't be read any more: {broken[0]}")
        pictures = np.stack(cast("list[NDArray[np.uint8]]", decoded)) if decoded else self._none()
        return pictures[0] if np.ndim(wanted) == 0 else pictures

    def take(self, rows: NDArray[np.int64]) -> ImageFiles:
        """The same pictures, these rows only."""
        return ImageFiles(self._sources, self._size, self._channels, self._rows[rows])

    def decoded(self, positions: NDArray[np.int64]) -> list[NDArray[np.uint8] | str]:
        """Each picture of the sources at `positions`, or why it can't be read."""
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            return list(pool.map(self._picture, positions.tolist()))

    def _picture(self, position: int) -> NDArray[np.uint8] | str:
        source = self._sources[position]
        try:
            return _decode(source, self._size, self._channels)
        except _BROKEN as error:
            place = f"picture {position + 1}" if isinstance(source, bytes) else f"`{source}`"
            return f"{place}: {error}"

    def _none(self) -> NDArray[np.uint8]:
        return np.zeros((0, *self.shape[1:]), np.uint8)


def read_pictures(
    sources: Sources, settings: ImageSettings
) -> tuple[NDArray[np.int64], NDArray[np.uint8] | ImageFiles]:
    """Content ids of all pictures, and the pictures: an array where they take 1 GiB at most.

    Raises:
        RequestError: some can't be read; names up to ten.
    """
    files = ImageFiles(sources, settings.size, settings.channels)
    fits = int(np.prod(files.shape)) <= _MEMORY
    pictures = np.zeros(files.shape if fits else (0,), np.uint8)
    ids, broken = np.zeros(len(files), np.int64), list[str]()
    for start in range(0, len(files), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(files)))
        found = files.decoded(rows)
        failed = [each for each in found if isinstance(each, str)]
        broken += failed
        if not failed:
            chunk = np.stack(cast("list[NDArray[np.uint8]]", found))
            ids[rows] = array_ids(chunk)
            if fits:
                pictures[rows] = chunk
    if broken:
        raise RequestError(_unreadable(broken))
    return ids, pictures if fits else files


def picture_task(
    settings: ImageSettings,
    name: str,
    labels: tuple[str, ...],
    pool: Pool,
    pictures: NDArray[np.uint8] | ImageFiles,
    notes: Sequence[str] = (),
) -> Classification:
    """The task of pictures [n, channels, size, size] that stand in the order of `pool`."""

    def prepare(sides: Sides) -> Prepared:
        inputs = {
            side: pictures.take(rows) if isinstance(pictures, ImageFiles) else pictures[rows]
            for side, rows in sides.items()
        }
        return inputs, {"size": settings.size, "channels": settings.channels}

    return assemble(settings, name, "image", labels, pool, prepare, notes)


def _decode(source: Path | bytes, size: int, channels: int) -> NDArray[np.uint8]:
    """A picture as uint8 [channels, size, size]: upright, cropped to its middle, resized."""
    content = BytesIO(source) if isinstance(source, bytes) else source
    with Image.open(content, formats=("BMP", "GIF", "JPEG", "PNG", "WEBP")) as opened:
        if opened.width * opened.height > _MOST_PIXELS:
            raise ValueError(f"over {_MOST_PIXELS:,} pixels")
        with _ONE_LARGE if opened.width * opened.height > _LARGE else nullcontext():
            pixels = np.asarray(_square(opened, size, channels))
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _square(opened: Image.Image, size: int, channels: int) -> Image.Image:
    upright = ImageOps.exif_transpose(opened)
    coloured = upright.convert("RGBA") if "transparency" in upright.info else upright
    plain = coloured.convert("L" if channels == 1 else "RGB")
    return ImageOps.fit(plain, (size, size), Image.Resampling.BICUBIC)


def _unreadable(broken: list[str]) -> Problem:
    shown = "\n  ".join(broken[:_SHOWN])
    more = f"\n  and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    return Problem(
        f"{len(broken)} pictures can't be read:\n  {shown}{more}\n",
        "repair them or take them out",
        ("path",),
    )
