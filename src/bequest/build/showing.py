"""Samples as people see them: small pictures, and tables of named values."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bequest.core.live import Split, Texts

LARGEST_SIDE = 64  # pixels
MOST_VALUES = 256
MOST_CHARACTERS = 2000


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


def features(sample: NDArray[Any]) -> dict[str, Any]:
    """The first 256 values of a sample of any shape, named by their position from 0."""
    values = [float(f"{value:.5g}") for value in np.nan_to_num(sample.ravel()[:MOST_VALUES])]
    return {"kind": "features", "names": [f"x{i}" for i in range(len(values))], "values": values}


def passage(text: str) -> dict[str, Any]:
    """The beginning of a text."""
    return {"kind": "text", "text": text[:MOST_CHARACTERS]}


def passages_of(split: Split, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The texts of these samples, each behind its prompt."""
    row = {sample: number for number, sample in enumerate(split.ids.tolist())}
    found = cast("Texts", split.inputs[[row[sample] for sample in ids.tolist()]])
    return [passage(found.whole(number)) for number in range(len(found))]
