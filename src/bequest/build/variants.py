"""What variants of a task do to its samples: change inputs, pick rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.splitting import content_ids
from bequest.core.live import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bequest.core.live import Inputs

    Floats = NDArray[np.float32]
    # From inputs in float32, [n, …], and the content ids of the original samples, int64 [n].
    Change = Callable[[Floats, NDArray[np.int64]], Floats]


@dataclass(frozen=True)
class ChangedInputs:
    """Inputs that are fetched and changed when they are asked for; see `core.live.Inputs`."""

    inputs: Inputs
    ids: NDArray[np.int64]
    change: Change

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, …]."""
        return self.inputs.shape

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: Any) -> Floats:
        wanted = np.atleast_1d(np.arange(len(self))[rows])
        found = self.change(floats(self.inputs[wanted]), self.ids[wanted])
        return found[0] if np.ndim(np.arange(len(self))[rows]) == 0 else found


@dataclass(frozen=True)
class PickedInputs:
    """Some rows of inputs that are fetched on demand; see `core.live.Inputs`."""

    inputs: Inputs
    rows: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, …]."""
        return len(self.rows), *self.inputs.shape[1:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> Any:
        return self.inputs[self.rows[rows]]


def changed(split: Split, change: Change, key: str) -> Split:
    """The split with changed inputs and ids; the original sample, or its unit, is the unit.

    key: names the change. An id follows from the id of the original and the key, so that samples
    have the same one only if content and change are the same.
    """
    inputs: Inputs = ChangedInputs(split.inputs, split.ids, change)
    if isinstance(split.inputs, np.ndarray):
        inputs = inputs[:]
    ids = content_ids(f"{key} {sample}".encode() for sample in split.ids.tolist())
    return replace(split, inputs=inputs, ids=ids, unit=_units(split))


def picked(split: Split, rows: NDArray[np.int64]) -> Split:
    """The samples at `rows`; the original sample, or its unit, is the unit."""
    eager = isinstance(split.inputs, np.ndarray)
    return replace(
        split,
        inputs=split.inputs[rows] if eager else PickedInputs(split.inputs, rows),
        targets=None if split.targets is None else split.targets[rows],
        ids=split.ids[rows],
        unit=None if split.unit is None else split.unit[rows],
        group=None if split.group is None else split.group[rows],
        values=None if split.values is None else split.values[rows],
    )


def joined(parts: Sequence[Split]) -> Split:
    """The samples of all parts, one after another, held in memory; all have targets."""
    groups = [part.group for part in parts if part.group is not None]
    whole = len(groups) == len(parts)
    return Split(
        inputs=np.concatenate([part.inputs[:] for part in parts]),
        targets=np.concatenate([np.asarray(part.targets) for part in parts]),
        ids=np.concatenate([part.ids for part in parts]),
        unit=np.concatenate([_units(part) for part in parts]),
        group=np.concatenate(groups) if whole else None,
    )


def floats(inputs: NDArray[Any]) -> Floats:
    """Inputs as a model is given them: float32, uint8 divided by 255."""
    as_they_are = inputs.astype(np.float32)
    return as_they_are / np.float32(255) if inputs.dtype == np.uint8 else as_they_are


def rotated(images: Floats, degrees: float) -> Floats:
    """Images [n, channels, height, width] turned anticlockwise around their centre.

    Bilinear; what comes from outside is 0.
    """
    height, width = images.shape[-2:]
    turn, centre = np.deg2rad(degrees), np.array([(height - 1) / 2, (width - 1) / 2])
    back = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    places = np.moveaxis(np.indices((height, width)), 0, -1) - centre  # [height, width, 2]
    # Rounding keeps quarter turns exact.
    sources = np.round(places @ back.T + centre, 9) + 1  # in a frame of zeros
    sources = np.clip(sources, 0, np.array([height + 1, width + 1]) - 1e-9)
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    corner = np.floor(sources).astype(np.int64)
    part = sources - corner
    found = np.zeros_like(images, dtype=np.float64)
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - part[..., 0]) * np.abs(1 - right - part[..., 1])
            found += framed[..., corner[..., 0] + down, corner[..., 1] + right] * weight
    return found.astype(np.float32)


def noisy(inputs: Floats, ids: NDArray[np.int64], level: float) -> Floats:
    """Inputs plus normal noise of deviation `level`, the same whenever a sample is asked for."""
    noise = [
        np.random.default_rng(sample).standard_normal(inputs.shape[1:], np.float32)
        for sample in ids.tolist()
    ]
    return inputs + np.float32(level) * np.stack(noise)


def gradient_histograms(images: Floats, cell: int, bins: int) -> Floats:
    """Histograms of the directions in which images get brighter, cell by cell.

    images: [n, channels, height, width]; of channels the mean is taken. cell: side of a cell in
    pixels; what is left at the edges is passed over. Directions of the whole circle, each weighed
    by its strength and shared between the two nearest of `bins`. Gives [n, cells · bins].
    """
    grey = images.mean(axis=1)
    down, right = np.gradient(grey, axis=(1, 2))
    place = np.arctan2(down, right) / (2 * np.pi) % 1.0 * bins
    lower, strength = np.floor(place).astype(np.int64), np.hypot(down, right)
    rows, columns = (side // cell for side in grey.shape[1:])
    found = np.zeros((len(grey), rows, columns, bins))
    for step in (0, 1):
        share = strength * np.abs(1 - step - (place - lower))
        for number in range(bins):
            here = np.where((lower + step) % bins == number, share, 0)
            cut = here[:, : rows * cell, : columns * cell]
            cells = cut.reshape(len(grey), rows, cell, columns, cell)
            found[..., number] += cells.sum(axis=(2, 4))
    return found.reshape(len(grey), -1).astype(np.float32)


def permuted(inputs: Floats, order: NDArray[np.int64]) -> Floats:
    """Inputs with their features, or the pixels of every channel, in another order.

    inputs: [n, features] or [n, channels, height, width]; order: int64 [places].
    """
    lead = inputs.shape[:2] if inputs.ndim == 4 else inputs.shape[:1]
    return inputs.reshape(*lead, -1)[..., order].reshape(inputs.shape)


def _units(split: Split) -> NDArray[np.int64]:
    return split.ids if split.unit is None else split.unit
