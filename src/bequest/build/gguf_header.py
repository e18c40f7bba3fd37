"""What a GGUF file says about itself, held against its size before anything else reads it.

The readers that follow believe every count and length in the header; one that lies would cost them
all memory. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, section File Structure.
"""

from __future__ import annotations

import math
import mmap
import struct
from typing import TYPE_CHECKING, Any

from bequest.build.bounds import refuse_counts

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_FIELDS, _MOST_TENSORS, _MOST_DIMENSIONS = 1 << 16, 1 << 16, 4
_MOST_ALIGNMENT = 1 << 16
_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip


def elements_in(file: Path) -> int:
    """How many numbers the tensors of a GGUF file hold, after all it says was checked.

    Raises:
        ValueError: it is no GGUF file, or what it says can't be.
        OSError: it can't be read.
    """
    if not file.stat().st_size:
        raise ValueError("it is empty")
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _Header(data).elements()


class _Header:
    """Reads on from a place in the file, never behind its end."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.place = data, 0

    def elements(self) -> int:
        if self.bytes(4) != _MAGIC:
            raise ValueError("it does not begin with GGUF")
        if (version := self.number("I")) not in _VERSIONS:
            raise ValueError(f"its version is {version}; {_VERSIONS} can be read")
        tensors, fields = self.count("Q", _MOST_TENSORS), self.count("Q", _MOST_FIELDS)
        told = dict(self.field() for _ in range(fields))
        if len(told) < fields:
            raise ValueError("a field is there twice")
        refuse_counts({name: value for name, value in told.items() if isinstance(value, int)})
        found = [self.tensor() for _ in range(tensors)]
        start = self.aligned(told.get("general.alignment", 32))
        if any(start + begin + size > len(self.data) for begin, size, _ in found):
            raise ValueError("a tensor lies behind its end")
        return sum(elements for _, _, elements in found)

    def aligned(self, to: Any) -> int:
        if not isinstance(to, int) or not 0 < to <= _MOST_ALIGNMENT or to & (to - 1):
            raise ValueError(f"its alignment is {to}")
        return self.place + -self.place % to

    def field(self) -> tuple[str, Any]:
        """Name and value; of an array nothing is kept."""
        name, kind = self.text(), self.number("I")
        if kind == _STRING:
            return name, self.text()
        if kind == _ARRAY:
            self.skip_array()
            return name, None
        return name, self.scalar(kind)

    def scalar(self, kind: int) -> Any:
        if kind not in _SCALARS:
            raise ValueError(f"there is no type {kind} of values")
        return self.number(_SCALARS[kind])

    def skip_array(self) -> None:
        kind = self.number("I")
        if kind == _STRING:
            for _ in range(self.count("Q", len(self.data) // 8)):
                self.bytes(self.number("Q"))
        elif kind in _SCALARS:
            self.bytes(self.number("Q") * struct.calcsize(f"<{_SCALARS[kind]}"))
        else:  # arrays of arrays: no model has them, and readers follow them down without end
            raise ValueError(f"it holds an array of values of type {kind}")

    def tensor(self) -> tuple[int, int, int]:
        """Where a tensor begins, its size in bytes and in numbers."""
        import gguf

        name = self.text()
        shape = [self.number("Q") for _ in range(self.count("I", _MOST_DIMENSIONS))]
        kind, begin = self.number("I"), self.number("Q")
        try:
            block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
        except (KeyError, ValueError):
            raise ValueError(f"tensor {name[:80]!r} is of an unknown type {kind}") from None
        elements = math.prod(shape)
        return begin, elements // block * size, elements

    def text(self) -> str:
        try:
            return self.bytes(self.number("Q")).decode()
        except UnicodeDecodeError as error:
            raise ValueError("a name or text is not UTF-8") from error

    def count(self, kind: str, most: int) -> int:
        found = int(self.number(kind))
        if found > most:
            raise ValueError(f"it says that {found:,} of something follow; at most {most:,} can")
        return found

    def number(self, kind: str) -> Any:
        return struct.unpack(f"<{kind}", self.bytes(struct.calcsize(f"<{kind}")))[0]

    def bytes(self, count: int) -> bytes:
        if count > len(self.data) - self.place:
            raise ValueError("it ends too early, or a length in it is wrong")
        self.place += count
        return self.data[self.place - count : self.place]
