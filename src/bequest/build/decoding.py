"""One picture file: which formats are read, and how its content becomes pixels of one shape."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Formats that Pillow reads whole and by code of its own; of others it runs programs (EPS), keeps
# only the upper bits without a word (JPEG 2000), or can't say what the numbers mean (FITS).
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")
CLEAR, SEVERAL, DEEP = "transparent", "several frames", "more than 8 bits"

_MOST_PIXELS = 80_000_000
_LARGE, _ONE_LARGE = 16_000_000, Lock()  # pixels; several such at once would take gigabytes
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF
_WORDS = 65535


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    pixels: [channels, size, size]; uint8, or float32 in [0, 1] of files with more than 8 bits.
    traits: which of `CLEAR`, `SEVERAL` and `DEEP` hold of the file.
    brightest: the highest value of a deep picture, as a share of what its bits can hold.
    """

    pixels: NDArray[Any]
    traits: frozenset[str] = frozenset()
    brightest: float = 1.0


@cache
def endings() -> frozenset[str]:
    """Endings of files that are read as pictures, in lower case and with their dot."""
    known = Image.registered_extensions().items()
    return frozenset(ending for ending, name in known if name in _formats())


@cache
def _formats() -> tuple[str, ...]:
    """Those of the formats that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def decode(source: Path | bytes, size: int, channels: int) -> Picture:
    """The picture in a file or in its content: upright, cropped to its middle, resized.

    Transparent parts become white, as in transformers; of several frames the first is taken.

    Raises:
        ValueError: the file holds no picture that can be read whole.
    """
    try:
        return _decode(source, size, channels)
    except UnidentifiedImageError as error:
        raise ValueError("its content is not that of a picture that can be read") from error
    except Exception as error:  # whatever a decoder raises, the file is to blame
        raise ValueError(str(error) or type(error).__name__) from error


def _decode(source: Path | bytes, size: int, channels: int) -> Picture:
    content = BytesIO(source) if isinstance(source, bytes) else source
    if not (source if isinstance(source, bytes) else source.stat().st_size):
        raise ValueError("it is empty")
    with Image.open(content, formats=_formats()) as opened:
        pixels = opened.width * opened.height
        if pixels > _MOST_PIXELS:
            raise ValueError(f"over {_MOST_PIXELS:,} pixels")
        several = {SEVERAL} if getattr(opened, "is_animated", False) else set[str]()
        with _ONE_LARGE if pixels > _LARGE else nullcontext():
            full = _full_scale(opened)
            if full is None:
                found = _eight_bits(opened, size, channels)
            else:
                found = _deep(opened, full, size, channels)
    return replace(found, traits=found.traits | several)


def _full_scale(opened: Image.Image) -> float | None:
    """The value that stands for white in a picture of more than 8 bits; None for 8 bits or fewer.

    Raises:
        ValueError: it is unknown, or Pillow would drop bits.
    """
    bits = max(getattr(opened, "tag_v2", {}).get(_BITS, (8,)))
    if opened.mode == "F":
        return 1.0
    if opened.mode.startswith("I;16"):
        return float(2**bits - 1) if 8 < bits < 16 else _WORDS
    if opened.mode == "I" and opened.format in ("PNG", "PPM"):
        return _WORDS
    if opened.mode == "I":
        raise ValueError("its whole numbers can be negative, so which is white is unknown")
    if bits > 8 or _sixteen(opened):
        what = "it has 16 bits per colour, of which only 8 would be read"
        raise ValueError(f"{what}; save it with 8 bits per colour, or as grey of 16 bits")
    return None


def _sixteen(opened: Any) -> bool:
    """Whether the decoder would be told to keep the upper 8 of 16 bits."""
    for tile in opened.tile:
        told = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if ";16" in str(told[0]) or (opened.format == "PPM" and told[-1] in range(256, _WORDS + 1)):
            return True
    return False


def _eight_bits(opened: Image.Image, size: int, channels: int) -> Picture:
    upright = ImageOps.exif_transpose(opened)
    clear = False
    if upright.mode == "La":
        upright = upright.convert("LA")
    if "A" in upright.getbands() or "a" in upright.getbands() or "transparency" in upright.info:
        with_alpha = upright.convert("RGBA")
        clear = with_alpha.getchannel("A").getextrema() != (255, 255)
        white = Image.new("RGBA", with_alpha.size, "white")
        upright = Image.alpha_composite(white, with_alpha) if clear else with_alpha
    plain = upright.convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(ImageOps.fit(plain, (size, size), Image.Resampling.BICUBIC))
    chosen = pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return Picture(chosen, frozenset({CLEAR} if clear else ()))


def _deep(opened: Image.Image, full: float, size: int, channels: int) -> Picture:
    """A grey picture of more than 8 bits, of which `full` is white."""
    if "transparency" in opened.info:
        raise ValueError("it has more than 8 bits and transparent parts; save it without those")
    values = np.asarray(ImageOps.exif_transpose(opened)).astype(np.float32) / np.float32(full)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError("its numbers are not all from 0 to 1, so which is white is unknown")
    if getattr(opened, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        values = 1 - values
    fitted = ImageOps.fit(Image.fromarray(values), (size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(fitted).clip(0, 1)  # a bicubic filter overshoots
    return Picture(np.repeat(pixels[None], channels, 0), frozenset({DEEP}), float(values.max()))
