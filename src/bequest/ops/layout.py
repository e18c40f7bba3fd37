"""Several arrays in one run of bytes, whose places follow from their types and shapes alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


class Kept(NamedTuple):
    """A change as it lies in a pack: facts in JSON, and bytes."""

    about: Mapping[str, Any]
    data: NDArray[np.uint8]


class Field(NamedTuple):
    """One array: its name, type (little-endian, such as "<f4") and shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.dtype[2:]) * math.prod(self.shape)


def total(fields: Sequence[Field]) -> int:
    """Bytes of all fields."""
    return sum(field.size for field in fields)


def joined(fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """The arrays one after another, each in its field's type: uint8 [total(fields)]."""
    found = np.empty(total(fields), np.uint8)
    begin = 0
    for field in fields:
        own = np.ascontiguousarray(arrays[field.name], field.dtype).reshape(field.shape)
        found[begin : begin + field.size] = own.reshape(-1).view(np.uint8)
        begin += field.size
    return found


def parted(fields: Sequence[Field], run: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """What `joined` put together, without copying.

    Raises:
        ValueError: the run has another size than the fields.
    """
    if run.dtype != np.uint8 or run.shape != (total(fields),):
        raise ValueError(f"{run.dtype} {run.shape} where {total(fields)} bytes belong")
    found, begin = {}, 0
    for field in fields:
        part = run[begin : begin + field.size]
        found[field.name] = part.view(field.dtype).reshape(field.shape)
        begin += field.size
    return found


def whole_number(value: Any, most: int) -> int:
    """A number from JSON that must lie between 0 and `most`.

    Raises:
        ValueError: it does not.
    """
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{str(value)[:40]} where a number up to {most} belongs")
    return value
