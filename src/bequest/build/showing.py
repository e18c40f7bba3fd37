"""Samples as people see them: small pictures, and tables of named values."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bequest.core.live import Split, Texts

LARGEST_SIDE = 64  # pixels
MOST_VALUES = 256
MOST_CHARACTERS = 2000
_ROUNDING = 1e-6
_NOTHING: Mapping[str, Any] = {}


def rows_of(split: Split, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows of a split that have these content ids, in the order of the ids."""
    position = {sample: row for row, sample in enumerate(split.ids.tolist())}
    return np.array([position[sample] for sample in ids.tolist()], np.int64)


def picture(sample: NDArray[Any]) -> dict[str, Any]:
    """An image [channels, height, width] as a PNG of at most 64 × 64 pixels.

    uint8 ranges over 0 … 255 and floats over 0 … 1, or further where they do. Three channels are
    colours; of any other number the mean is shown.
    """
    pixels = np.nan_to_num(sample.astype(np.float64) / (255 if sample.dtype == np.uint8 else 1))
    low, high = min(pixels.min(), 0.0), max(pixels.max(), 1.0)
    levels = np.round((pixels - low) / (high - low) * 255).astype(np.uint8)
    if len(levels) == 3:
        image = Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))
    else:
        image = Image.fromarray(levels.mean(axis=0).round().astype(np.uint8))
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    written = BytesIO()
    image.save(written, "PNG", optimize=True)
    return {"kind": "image", "png": base64.b64encode(written.getvalue()).decode()}


def features(sample: NDArray[Any], done: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    """The first 256 values of a sample of any shape, as its file has them.

    done: what was done to the raw data. Where it names columns, values are called like them, and
    `column = word` is 1 where the word stood there; else they are named by their position from 0.
    """
    row, names = sample.ravel(), _columns(done)
    if "mean" in done and "changed" not in done and len(done["mean"]) == len(row):
        std = np.array(done["std"])
        row = row * std + np.array(done["mean"])
        row[np.abs(row) < _ROUNDING * std] = 0  # float32 knows no more digits
    if "changed" in done or len(names) != len(row):
        names = [f"x{i}" for i in range(len(row))]
    values = [float(f"{value:.5g}") for value in np.nan_to_num(row[:MOST_VALUES])]
    return {"kind": "features", "names": names[:MOST_VALUES], "values": values}


def _columns(done: Mapping[str, Any]) -> list[str]:
    """Columns of numbers, then one for each word of the columns of words."""
    numbers, names = len(done.get("median", ())), done.get("features", ())
    flags = [
        f"{name} = {word}"
        for name, words in zip(names[numbers:], done.get("words", ()), strict=False)
        for word in words
    ]
    return [*names[:numbers], *flags]


def passage(text: str) -> dict[str, Any]:
    """The beginning of a text."""
    return {"kind": "text", "text": text[:MOST_CHARACTERS]}


def passages_of(split: Split, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The texts of these samples, each behind its prompt."""
    row = {sample: number for number, sample in enumerate(split.ids.tolist())}
    found = cast("Texts", split.inputs[[row[sample] for sample in ids.tolist()]])
    return [passage(found.whole(number)) for number in range(len(found))]
