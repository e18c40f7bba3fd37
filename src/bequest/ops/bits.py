"""Small whole numbers without a bit between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]


def packed_size(count: int, bits: int) -> int:
    """Bytes that so many numbers take."""
    return -(-count * bits // 8)


def packed(codes: Bytes, bits: int) -> Bytes:
    """Rows of codes below 2^bits, [rows, n], as bytes [rows, packed_size(n, bits)].

    The lowest bit comes first; every row begins with a byte of its own.
    """
    if bits == 8:
        return np.ascontiguousarray(codes)
    places = np.arange(bits, dtype=np.uint8)
    each = (codes[..., None] >> places) & 1  # [rows, n, bits]
    return np.packbits(each.reshape(len(codes), -1), axis=1, bitorder="little")


def unpacked(rows: Bytes, bits: int, count: int) -> Bytes:
    """The first `count` codes of every row, [rows, count]; what `packed` took apart."""
    if bits == 8:
        return rows[:, :count]
    if 8 % bits == 0:
        places = np.arange(0, 8, bits, dtype=np.uint8)
        codes = (rows[..., None] >> places) & np.uint8((1 << bits) - 1)
        return codes.reshape(len(rows), -1)[:, :count]
    each = np.unpackbits(rows, axis=1, count=count * bits, bitorder="little")
    powers = (1 << np.arange(bits)).astype(np.uint8)
    codes = each.reshape(len(rows), count, bits) * powers
    total: Bytes = codes.sum(axis=2, dtype=np.uint8)
    return total
