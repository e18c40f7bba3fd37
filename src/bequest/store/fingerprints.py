"""Which weights a model has, as one short text: the same for a live model and for its files.

XXH3 with 128 bits: as fast as memory, so that a check costs little beside a copy. It tells models
apart; it is no proof against who makes up two models of one fingerprint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def of_tensor(name: str, kind: str, shape: Sequence[int], parts: Iterable[Any]) -> str:
    """Of one tensor: its name, type (as safetensors calls it), shape, and bytes part by part."""
    found = begun(name, kind, shape)
    for part in parts:
        found.update(part)
    return found.hexdigest()


def begun(name: str, kind: str, shape: Sequence[int]) -> xxhash.xxh3_128:
    """`of_tensor` for who reads the bytes anyway: update it with them, and take its hexdigest."""
    return xxhash.xxh3_128(f"{name} {kind} {list(shape)};".encode())


def of_model(tensors: Mapping[str, str]) -> str:
    """Of a whole model, from the fingerprints of its tensors by name, in any order."""
    text = "".join(f"{name} {tensors[name]};" for name in sorted(tensors))
    return f"xxh3:{xxhash.xxh3_128_hexdigest(text.encode())}"
