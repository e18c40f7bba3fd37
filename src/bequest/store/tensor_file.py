"""Safetensors files as torch tensors, one by one, so that none is in memory twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from bequest.lazy import torch
from bequest.store.tensor_header import elements, laid_out, read_header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a file with all `tensors`.

    Raises:
        OSError: it can't be written.
        TypeError: the format has no such type.
    """
    kinds = {name: (kind_of(each.dtype), tuple(each.shape)) for name, each in tensors.items()}
    head, order = laid_out(kinds, metadata)
    with path.open("wb", buffering=0) as file:
        _write(file, memoryview(head))
        for name in order:
            _write(file, as_bytes(tensors[name]))


class TensorFile:
    """A safetensors file, open to be read.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, RecursionError: it is none, or damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._entries, self.metadata, self._start = read_header(file)

    @property
    def names(self) -> list[str]:
        """Names of all tensors, sorted."""
        return sorted(self._entries)

    @property
    def elements(self) -> int:
        """How many numbers all tensors hold together."""
        return elements(self._entries.values())

    def read(self, name: str, into: torch.Tensor | None = None) -> torch.Tensor:
        """A tensor as it is in the file, read straight into the memory of `into` where it fits.

        Raises:
            ValueError: the file ends too early.
        """
        kind, shape, begin, _ = self._entries[name]
        dtype: torch.dtype = getattr(torch, _NAMES[kind])
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


def kind_of(dtype: torch.dtype) -> str:
    """The format's own name of a type.

    Raises:
        TypeError: it has none.
    """
    for kind, name in _NAMES.items():
        if getattr(torch, name) is dtype:
            return kind
    raise TypeError(f"safetensors has no type for {dtype}")


def _write(file: Any, rest: memoryview) -> None:
    while rest:
        rest = rest[file.write(rest) :]
