"""Packs on disk: one safetensors file each, read with NumPy alone, tensor by tensor.

What a pack is stands as JSON among the file's texts, under `bequest_pack`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.core.pack import Pack
from bequest.store.files import atomic
from bequest.store.tensor_header import laid_out, read_header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.store.tensor_header import Entry

KEY = "bequest_pack"
_VERSION = 1
_KINDS = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype(np.uint16),
    "I16": np.dtype(np.int16),
    "F16": np.dtype(np.float16),
    "U32": np.dtype(np.uint32),
    "I32": np.dtype(np.int32),
    "F32": np.dtype(np.float32),
    "I64": np.dtype(np.int64),
    "F64": np.dtype(np.float64),
}
# What reading a header that lies may raise.
_DAMAGE = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError)


def write_pack(path: Path, pack: Pack) -> None:
    """Write a pack; whole or not at all.

    Raises:
        StoreError: it can't be written.
        TypeError: a tensor is of a type that NumPy has not.
    """
    head, order, arrays = _laid_out(pack)
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(head)
        for name in order:
            file.write(_bytes(arrays[name]))


def size_of(pack: Pack) -> int:
    """Bytes of the file that `write_pack` writes."""
    head, _, arrays = _laid_out(pack)
    return len(head) + sum(each.nbytes for each in arrays.values())


def read_pack(path: Path, kind: str | None = None, *, whole: bool = False) -> Pack:
    """A pack whose tensors are memory-mapped and can't be written to.

    kind: what it must be; whole: read everything once and compare the checksum.

    Raises:
        RequestError: there is none, it is of another kind, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            header = read_header(file)
        told = json.loads(header.metadata[KEY])
        tensors = {name: _mapped(path, header.start, one) for name, one in header.entries.items()}
        checksum = told.pop("checksum")
        pack = Pack(str(told["kind"]), tensors, dict(told["about"]), str(told["base"]))
        version = told["version"]
    except OSError as error:
        raise _wrong(f"{path} can't be read: {error.strerror}") from error
    except _DAMAGE as error:
        raise _wrong(f"{path} is no pack, or damaged", "name a file that holds a pack") from error
    if version != _VERSION:
        raise _wrong(f"{path} is of version {version}; this bequest reads {_VERSION}")
    if kind is not None and pack.kind != kind:
        raise _wrong(f"{path} holds a pack of kind `{pack.kind}`, not `{kind}`")
    if whole and checksum != _checksum(told, tensors):
        raise _wrong(f"{path} is damaged: checksum mismatch")
    return pack


def _laid_out(pack: Pack) -> tuple[bytes, list[str], dict[str, NDArray[Any]]]:
    """The file's first bytes, and what follows in which order."""
    arrays = {name: _array(values) for name, values in pack.tensors.items()}
    kinds = {name: (_kind(each.dtype), each.shape) for name, each in arrays.items()}
    told = {"version": _VERSION, "kind": pack.kind, "base": pack.base, "about": dict(pack.about)}
    text = json.dumps({**told, "checksum": _checksum(told, arrays)}, allow_nan=False)
    return *laid_out(kinds, {KEY: text}), arrays


def _array(values: Any) -> NDArray[Any]:
    found = values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
    return np.ascontiguousarray(found).reshape(found.shape)


def _kind(dtype: np.dtype[Any]) -> str:
    for kind, known in _KINDS.items():
        if known == dtype:
            return kind
    raise TypeError(f"packs have no type for {dtype}")


def _mapped(path: Path, start: int, entry: Entry) -> NDArray[Any]:
    dtype = _KINDS[entry.kind]
    if entry.begin == entry.end:
        return np.empty(entry.shape, dtype)
    # A plain array of the mapped memory: a memmap's own slices are slow to make.
    return np.memmap(path, dtype, "r", start + entry.begin, entry.shape).view(np.ndarray)


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")


def _checksum(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    found = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16)
    for name in sorted(arrays):
        found.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        found.update(_bytes(arrays[name]))
    return found.hexdigest()


def _wrong(what: str, fix: str = "") -> RequestError:
    return RequestError(Problem(what, fix))
