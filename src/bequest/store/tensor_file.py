"""The safetensors format, tensor by tensor, so that none is in memory twice.

A file is the length of its header (8 bytes, little-endian), the header (JSON: type, shape and
place of each tensor, texts under `__metadata__`) and the tensors' bytes without a gap.
https://github.com/huggingface/safetensors, section Format.
"""

from __future__ import annotations

import json
import math
import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_METADATA = "__metadata__"
_MOST_HEADER = 100 << 20  # bytes, as the format's own readers allow
_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "F64": "float64",
    "I64": "int64",
    "U64": "uint64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "C64": "complex64",
}


class _Place(NamedTuple):
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a file with all `tensors`, larger types first so that each lies at a multiple of its
    size, and by name.

    Raises:
        OSError: it can't be written.
        TypeError: the format has no such type.
    """
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    end = 0
    for name in order:
        begin, end = end, end + tensors[name].nbytes
        kind, shape = _kind(tensors[name].dtype), list(tensors[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb", buffering=0) as file:
        _write(file, memoryview(len(text).to_bytes(8, "little") + text))
        for name in order:
            _write(file, as_bytes(tensors[name]))


class TensorFile:
    """A safetensors file, open to be read.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, RecursionError: it is none, or damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if length > min(size - 8, _MOST_HEADER):
            raise ValueError("its header is longer than the file")
        header = json.loads(file.read(length))
        self.metadata: dict[str, str] = header.pop(_METADATA, {})
        self._start = 8 + length
        self._places = {name: _place(entry) for name, entry in header.items()}
        edges = sorted((place.begin, place.end) for place in self._places.values())
        gaps = any(one[1] != other[0] for one, other in pairwise([(0, 0), *edges]))
        if gaps or self._start + (edges[-1][1] if edges else 0) != size:
            raise ValueError("its tensors don't fill it")

    @property
    def names(self) -> list[str]:
        """Names of all tensors, sorted."""
        return sorted(self._places)

    @property
    def elements(self) -> int:
        """How many numbers all tensors hold together."""
        return sum(math.prod(place.shape) for place in self._places.values())

    def read(self, name: str, into: torch.Tensor | None = None) -> torch.Tensor:
        """A tensor as it is in the file, read straight into the memory of `into` where it fits.

        Raises:
            ValueError: the file ends too early.
        """
        dtype, shape, begin, _ = self._places[name]
        fits = into is not None and _same(into, dtype, shape)
        found = into.detach() if fits and into is not None else torch.empty(shape, dtype=dtype)
        self._file.seek(self._start + begin)
        rest = as_bytes(found)
        while rest:
            count = self._file.readinto(rest)  # type: ignore[attr-defined]
            if not count:
                raise ValueError("it ends too early")
            rest = rest[count:]
        return found


def as_bytes(tensor: torch.Tensor) -> memoryview:
    """The memory of a tensor, in its order; a copy of it unless that is contiguous on the CPU."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def _same(tensor: torch.Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> bool:
    alike = tensor.dtype == dtype and tuple(tensor.shape) == shape
    return alike and tensor.is_contiguous() and tensor.device.type == "cpu"


def _kind(dtype: torch.dtype) -> str:
    for kind, name in _NAMES.items():
        if getattr(torch, name) is dtype:
            return kind
    raise TypeError(f"safetensors has no type for {dtype}")


def _place(entry: Mapping[str, Any]) -> _Place:
    dtype: torch.dtype = getattr(torch, _NAMES[entry["dtype"]])
    shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError("its header has a number that is none")
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError("a tensor's size and shape don't agree")
    return _Place(dtype, shape, begin, end)


def _write(file: Any, rest: memoryview) -> None:
    while rest:
        rest = rest[file.write(rest) :]
