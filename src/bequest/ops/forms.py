"""How the change of one weight is kept: as bytes, and a few facts that say how to read them.

Form `whole`: every number, float32. `sparse`: some entries and their places. `directions`: factors
in few bits. `signs`: one bit each and a scale. A change is added to a weight block by block, so
that memory does not grow with the weight.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bequest.ops.deltas import one_bit
from bequest.ops.directions import Directions
from bequest.ops.layout import Field, Kept, joined, parted, whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Bytes = NDArray[np.uint8]

BLOCK = 1 << 16  # entries whose places are counted together
STEP = 4 * BLOCK
_MOST = 1 << 40  # numbers of a weight
_MASKED = BLOCK // 16  # from so many places in a block on, a bit for each entry takes less


class Change(Protocol):
    """A change that can be added to a weight.

    size: numbers of the weight; step: how many of them each block must hold, but for the last.
    """

    size: int
    step: int

    def add(self, start: int, block: NDArray[np.float32]) -> None:
        """Add to `block`, the weight's flattened entries from `start` on, in place."""
        ...


def whole(delta: Array) -> Kept:
    """Every number as float32."""
    about = {"form": "whole", "shape": list(delta.shape)}
    return Kept(about, joined(_whole_fields(delta.size), {"values": delta}))


def sparse(delta: Array, kept: NDArray[np.bool_], value_bits: int = 32) -> Kept:
    """The entries where `kept` is true, exactly (32 bits) or in float16 (16 bits)."""
    count, places = int(kept.sum()), kept.reshape(-1)
    about = {"form": "sparse", "shape": list(delta.shape), "count": count, "bits": value_bits}
    found: dict[str, Array] = {"values": delta.reshape(-1)[places]}
    if _is_masked(delta.size, count):
        found["mask"] = np.packbits(places, bitorder="little")
    else:
        where = np.flatnonzero(places)
        found["counts"] = np.bincount(where // BLOCK, minlength=_blocks(delta.size))
        found["places"] = where % BLOCK
    return Kept(about, joined(_sparse_fields(delta.size, count, value_bits), found))


def signs(delta: Array) -> Kept:
    """One scale and a sign for each entry: BitDelta."""
    scale, plus = one_bit(delta)
    found = {"scale": np.array([scale]), "plus": np.packbits(plus.reshape(-1), bitorder="little")}
    about = {"form": "signs", "shape": list(delta.shape)}
    return Kept(about, joined(_sign_fields(delta.size), found))


def sparse_size(size: int, count: int, value_bits: int) -> int:
    """Bytes that `count` of `size` entries take."""
    return sum(field.size for field in _sparse_fields(size, count, value_bits))


def opened(about: Mapping[str, Any], data: Bytes) -> Change:
    """A change to be added; nothing is taken on trust, as a pack may come from a stranger.

    Raises:
        ValueError, TypeError, LookupError: facts and bytes don't agree.
    """
    shape = shape_of(about)
    forms: Mapping[str, Any] = {
        "whole": Whole, "sparse": Sparse, "signs": Signs, "directions": Directions
    }  # fmt: skip
    change: Change = forms[about["form"]](shape, about, data)
    return change


def shape_of(about: Mapping[str, Any]) -> tuple[int, ...]:
    """The weight's shape.

    Raises:
        ValueError, LookupError: it is none.
    """
    shape = tuple(about["shape"])
    if not all(type(side) is int and 0 < side <= _MOST for side in shape) or len(shape) > 8:
        raise ValueError("a shape that is none")
    if math.prod(shape) > _MOST:
        raise ValueError("a weight that is too large")
    return shape


class Whole:
    """Every number of a change."""

    step = STEP

    def __init__(self, shape: tuple[int, ...], about: Mapping[str, Any], data: Bytes) -> None:
        del about
        self.size = math.prod(shape)
        self._values = parted(_whole_fields(self.size), data)["values"]

    def add(self, start: int, block: NDArray[np.float32]) -> None:
        """See `Change`."""
        block += self._values[start : start + len(block)]


class Sparse:
    """Some entries of a change."""

    step = STEP

    def __init__(self, shape: tuple[int, ...], about: Mapping[str, Any], data: Bytes) -> None:
        self.size = math.prod(shape)
        count = whole_number(about["count"], self.size)
        if about["bits"] not in (16, 32):
            raise ValueError("entries are kept in 16 or 32 bits")
        found = parted(_sparse_fields(self.size, count, about["bits"]), data)
        self._values, self._mask = found["values"], found.get("mask")
        self._places = found.get("places")
        counts = found["counts"] if self._mask is None else _counted(self._mask, self.size)
        self._ends = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        if int(self._ends[-1]) != count:
            raise ValueError("places and values are not as many")

    def add(self, start: int, block: NDArray[np.float32]) -> None:
        """See `Change`."""
        at, stop = start, start + len(block)
        while at < stop:
            end = min((at // BLOCK + 1) * BLOCK, stop)
            where, values = self._within(at, end)
            block[at - start : end - start][where] += values.astype(np.float32)
            at = end

    def _within(self, at: int, end: int) -> tuple[Array, Array]:
        """Places from `at` on, and values, of the entries before `end` in the same block."""
        number, first = divmod(at, BLOCK)
        begin, last = first, first + end - at
        low, high = int(self._ends[number]), int(self._ends[number + 1])
        if self._mask is not None:
            bits = self._mask[number * BLOCK // 8 : (number * BLOCK + last + 7) // 8]
            here = np.unpackbits(bits, count=last, bitorder="little").view(np.bool_)
            low += int(np.count_nonzero(here[:begin]))
            where = here[begin:]
            return where, self._values[low : low + int(np.count_nonzero(where))]
        found: Array = self._places[low:high]  # type: ignore[index]
        if len(found) and (number * BLOCK + int(found[-1]) >= self.size or not _rise(found)):
            raise ValueError("places that don't rise, or lie outside")
        of_these = slice(*np.searchsorted(found, (begin, last)).tolist())
        return found[of_these].astype(np.int64) - begin, self._values[low:high][of_these]


class Signs:
    """One scale, plus or minus."""

    step = STEP

    def __init__(self, shape: tuple[int, ...], about: Mapping[str, Any], data: Bytes) -> None:
        del about
        self.size = math.prod(shape)
        found = parted(_sign_fields(self.size), data)
        self._scale, self._plus = found["scale"][0], found["plus"]

    def add(self, start: int, block: NDArray[np.float32]) -> None:
        """See `Change`."""
        bits, skipped = self._plus[start // 8 : -(-(start + len(block)) // 8)], start % 8
        plus = np.unpackbits(bits, count=skipped + len(block), bitorder="little")[skipped:]
        block += np.where(plus.view(np.bool_), self._scale, -self._scale)


def _whole_fields(size: int) -> list[Field]:
    return [Field("values", "<f4", (size,))]


def _sign_fields(size: int) -> list[Field]:
    return [Field("scale", "<f4", (1,)), Field("plus", "<u1", (-(-size // 8),))]


def _sparse_fields(size: int, count: int, value_bits: int) -> list[Field]:
    values = Field("values", f"<f{value_bits // 8}", (count,))
    if _is_masked(size, count):
        return [values, Field("mask", "<u1", (-(-size // 8),))]
    counts = Field("counts", "<u4", (_blocks(size),))
    return [counts, values, Field("places", "<u2", (count,))]


def _is_masked(size: int, count: int) -> bool:
    return count * BLOCK >= size * _MASKED


def _rise(places: Array) -> bool:
    return bool((places[1:] > places[:-1]).all())


def _blocks(size: int) -> int:
    return -(-size // BLOCK)


def _counted(mask: Bytes, size: int) -> Array:
    """How many bits are set in each block."""
    if size % 8 and mask[-1] >> (size % 8):
        raise ValueError("a bit behind the last entry is set")
    each = [np.bitwise_count(mask[begin : begin + BLOCK // 8]).sum(dtype=np.int64)
            for begin in range(0, len(mask), BLOCK // 8)]  # fmt: skip
    return np.array(each, np.int64)
