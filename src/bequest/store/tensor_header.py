"""The header of a safetensors file: what tensors there are and where, without torch.

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

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

METADATA = "__metadata__"
MOST_HEADER = 100 << 20  # bytes, as the format's own readers allow
_MOST_SIDES = 64  # of a tensor, as NumPy and torch allow; the product of very many takes for ever
SIZES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "C64": 8,
}


class Entry(NamedTuple):
    """A tensor's type (the format's own name for it), shape and place behind the header."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """All tensors by name, the file's texts, and the byte at which the tensors begin."""

    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    start: int


def read_header(file: BinaryIO) -> Header:
    """The header of an open file, checked against the file's size.

    Raises:
        ValueError, TypeError, LookupError, AttributeError, RecursionError: it is no safetensors
            file, or damaged.
    """
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, MOST_HEADER):
        raise ValueError("its header is longer than the file")
    header = json.loads(file.read(length))
    metadata = header.pop(METADATA, {})
    entries = {name: _entry(value) for name, value in header.items()}
    edges = sorted((entry.begin, entry.end) for entry in entries.values())
    gaps = any(one[1] != other[0] for one, other in pairwise([(0, 0), *edges]))
    if gaps or 8 + length + (edges[-1][1] if edges else 0) != size:
        raise ValueError("its tensors don't fill it")
    return Header(entries, metadata, 8 + length)


def laid_out(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]
) -> tuple[bytes, list[str]]:
    """The first bytes of a file, up to its tensors, and the order in which these follow.

    Larger types come first, so that each tensor lies at a multiple of its size; then by name.
    tensors: type and shape by name.
    """
    order = sorted(tensors, key=lambda name: (-SIZES[tensors[name][0]], name))
    header: dict[str, Any] = {METADATA: dict(metadata)}
    end = 0
    for name in order:
        kind, shape = tensors[name]
        begin, end = end, end + SIZES[kind] * math.prod(shape)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, order


def elements(entries: Iterable[Entry]) -> int:
    """How many numbers all tensors hold together."""
    return sum(math.prod(entry.shape) for entry in entries)


def _entry(value: Mapping[str, Any]) -> Entry:
    shape, (begin, end) = tuple(value["shape"]), value["data_offsets"]
    if len(shape) > _MOST_SIDES:
        raise ValueError("a tensor has too many dimensions")
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError("its header has a number that is none")
    if end - begin != math.prod(shape) * SIZES[value["dtype"]]:
        raise ValueError("a tensor's size and shape don't agree")
    return Entry(value["dtype"], shape, begin, end)
