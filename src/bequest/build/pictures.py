"""Pictures in files: decoded once where they fit in memory, else whenever they are asked for."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bequest.build.assemble import assemble
from bequest.build.decoding import CLEAR, DEEP, SEVERAL, Picture, decode
from bequest.build.splitting import content_ids
from bequest.build.variants import floats
from bequest.core.errors import Problem, RequestError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.build.assemble import Prepared, Sides
    from bequest.build.classification import Classification
    from bequest.build.settings import ImageSettings
    from bequest.build.splitting import Pool

_MEMORY = 1 << 30
_AT_ONCE = 1024
_SHOWN = 10
_DARK = 0.25  # of the range; such as 12 bits in files of 16


class Sources(Protocol):
    """Where pictures are: a path, or the content of a file, by position."""

    def __len__(self) -> int:
        """Number of pictures."""
        ...

    def __getitem__(self, index: int, /) -> Path | bytes:
        """The picture at `index`."""
        ...


class ImageFiles:
    """Pictures decoded on demand; indexed like an array [n, channels, size, size].

    deep: whether they come as float32 in [0, 1], as some have more than 8 bits, not as uint8.
    """

    def __init__(
        self,
        sources: Sources,
        size: int,
        channels: int,
        rows: NDArray[np.int64] | None = None,
        *,
        deep: bool = False,
    ) -> None:
        self._sources = sources
        self._size, self._channels, self._deep = size, channels, deep
        self._rows = np.arange(len(sources)) if rows is None else rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, channels, size, size)."""
        return len(self._rows), self._channels, self._size, self._size

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        """The pictures at `rows`: a position, a slice, or an array of positions or booleans.

        Raises:
            StoreError: one can't be read any more.
        """
        wanted = self._rows[rows]
        found = self.decoded(np.atleast_1d(wanted))
        if broken := [one for one in found if isinstance(one, str)]:
            raise StoreError(f"a picture can't be read any more: {broken[0]}")
        pictures = stacked(found, deep=self._deep) if found else self._none()
        return pictures[0] if np.ndim(wanted) == 0 else pictures

    def take(self, rows: NDArray[np.int64]) -> ImageFiles:
        """The same pictures, these rows only."""
        kept = self._rows[rows]
        return ImageFiles(self._sources, self._size, self._channels, kept, deep=self._deep)

    def decoded(self, positions: NDArray[np.int64]) -> list[NDArray[Any] | str]:
        """The pixels of each picture of the sources at `positions`, or why it can't be read."""
        return [one if isinstance(one, str) else one.pixels for one in self.read(positions)]

    def read(self, positions: NDArray[np.int64]) -> list[Picture | str]:
        """Each picture of the sources at `positions`, or why it can't be read."""
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            return list(pool.map(self._picture, positions.tolist()))

    def _picture(self, position: int) -> Picture | str:
        source = self._sources[position]
        try:
            return decode(source, self._size, self._channels)
        except ValueError as error:
            place = f"picture {position + 1}" if isinstance(source, bytes) else f"`{source}`"
            return f"{place}: {error}"

    def _none(self) -> NDArray[Any]:
        return np.zeros((0, *self.shape[1:]), np.float32 if self._deep else np.uint8)


class _Reading:
    """What was read of pictures so far; `pictures` while they take 1 GiB at most."""

    def __init__(self, files: ImageFiles) -> None:
        self.ids = np.zeros(len(files), np.int64)
        self.pictures: NDArray[Any] | None = None
        if int(np.prod(files.shape)) <= _MEMORY:
            self.pictures = np.zeros(files.shape, np.uint8)
        self.broken: list[str] = []
        self.traits: Counter[str] = Counter()
        self.brightest = 0.0

    def add(self, rows: NDArray[np.int64], decoded: Sequence[Picture | str]) -> None:
        """Take in the pictures at `rows`."""
        self.broken += [each for each in decoded if isinstance(each, str)]
        found = [each for each in decoded if isinstance(each, Picture)]
        for each in found:
            self.traits.update(each.traits)
            if DEEP in each.traits:
                self.brightest = max(self.brightest, each.brightest)
        if self.broken:
            return
        self.ids[rows] = content_ids(each.pixels.tobytes() for each in found)
        self._deepen()
        if self.pictures is not None:
            self.pictures[rows] = stacked(
                [each.pixels for each in found], deep=bool(self.traits[DEEP])
            )

    def notes(self) -> list[str]:
        """What was done to some of the pictures."""
        several, clear, deep = (self.traits[trait] for trait in (SEVERAL, CLEAR, DEEP))
        told = {
            f"{clear} pictures have transparent parts, which became white": clear,
            f"{several} pictures have several frames or pages; the first was used": several,
            f"{deep} pictures have more than 8 bits; they were divided by the largest value that "
            "their bits can hold": deep,
            f"the brightest pixel of those is {self.brightest:.3g} of that value, so they are "
            "dark; scale them before if that is not meant": deep and self.brightest < _DARK,
        }
        return [note for note, holds in told.items() if holds]

    def _deepen(self) -> None:
        """Make room for deep pictures as soon as there is one."""
        if self.pictures is None or not self.traits[DEEP] or self.pictures.dtype == np.float32:
            return
        fits = 4 * self.pictures.nbytes <= _MEMORY
        self.pictures = floats(self.pictures) if fits else None


def read_pictures(
    sources: Sources, settings: ImageSettings
) -> tuple[NDArray[np.int64], NDArray[Any] | ImageFiles, list[str]]:
    """Content ids of all pictures, the pictures, and notes on how some were read.

    The pictures are uint8, or float32 in [0, 1] where some have more than 8 bits; an array where
    they take 1 GiB at most.

    Raises:
        RequestError: some can't be read; names up to ten.
    """
    files = ImageFiles(sources, settings.size, settings.channels)
    reading = _Reading(files)
    for start in range(0, len(files), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(files)))
        reading.add(rows, files.read(rows))
    if reading.broken:
        raise RequestError(_unreadable(reading.broken))
    deep = bool(reading.traits[DEEP])
    lazy = ImageFiles(sources, settings.size, settings.channels, deep=deep)
    return reading.ids, lazy if reading.pictures is None else reading.pictures, reading.notes()


def picture_task(
    settings: ImageSettings,
    name: str,
    labels: tuple[str, ...],
    pool: Pool,
    pictures: NDArray[Any] | ImageFiles,
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


def stacked(pictures: Sequence[Any], *, deep: bool = False) -> NDArray[Any]:
    """Pictures [n, channels, size, size]: float32 in [0, 1] if `deep` or if one is, else uint8."""
    deep = deep or any(one.dtype == np.float32 for one in pictures)
    return np.stack([floats(one) if deep else one for one in pictures])


def _unreadable(broken: list[str]) -> Problem:
    shown = "\n  ".join(broken[:_SHOWN])
    more = f"\n  and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    return Problem(
        f"{len(broken)} pictures can't be read:\n  {shown}{more}\n",
        "repair them or take them out",
        ("path",),
    )
