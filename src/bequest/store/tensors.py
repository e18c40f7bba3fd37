"""Tensors on disk, as safetensors only, and nested values made of tensors and JSON."""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bequest.core.errors import StoreError
from bequest.lazy import numpy as np
from bequest.lazy import torch
from bequest.store.files import atomic
from bequest.store.tensor_file import TensorFile, as_bytes, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_TENSOR, _ARRAY, _TUPLE, _PAIRS = "$tensor", "$array", "$tuple", "$pairs"
_FLOAT = "$float"  # JSON has no NaN and no infinity
_ABOUT = "bequest"
_NOWHERE: Mapping[str, torch.Tensor] = {}
_LONGEST = 300  # of a library's own message
# What reading a header that lies may raise.
_DAMAGE = (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError)


def save_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], note: Mapping[str, str] | None = None
) -> None:
    """Write tensors as one safetensors file; tensors that share memory are stored once.

    note: short texts for the file's metadata, where a checksum of it all stands too.
    """
    kept: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        if tensor.numel() and place in seen:
            aliases[name] = seen[place]
        else:
            seen[place] = name
            kept[name] = tensor
    about: dict[str, Any] = {"note": dict(note or {}), "aliases": aliases}
    checksum = _Checksum()
    for name in sorted(kept):
        checksum.add(name, kept[name])
    about["checksum"] = checksum.of(about)
    # One text, as a note may hold any.
    with atomic(path) as temporary:
        write_tensors(temporary, kept, {_ABOUT: json.dumps(about)})


def load_tensors(
    path: Path, into: Mapping[str, torch.Tensor] = _NOWHERE
) -> dict[str, torch.Tensor]:
    """The tensors of a file that `save_tensors` wrote.

    into: tensors to be filled with those of the same names, without holding these twice; what is
        given back under such a name is the tensor itself.

    Raises:
        StoreError: the file is missing, damaged, or holds another shape than is to be filled;
            some of `into` may have been filled.
    """
    return load_noted(path, lambda note: into)[0]


def load_noted(
    path: Path, into: Callable[[dict[str, str]], Mapping[str, torch.Tensor]]
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a file that `save_tensors` wrote, and the note in its metadata.

    into: as for `load_tensors`, from the note.

    Raises:
        StoreError: as for `load_tensors`.
    """
    with understood(path):
        with path.open("rb") as file:
            found = TensorFile(file)
            about = json.loads(found.metadata[_ABOUT])
            expected, targets = about.pop("checksum"), into(about["note"])
            tensors, checksum = {}, _Checksum()
            for name in found.names:
                tensor = found.read(name, targets.get(name))
                checksum.add(name, tensor)
                tensors[name] = _put(targets.get(name), tensor)
        if checksum.of(about) != expected:
            raise ValueError("its checksum is another")
        for name, first in about["aliases"].items():
            tensors[name] = _put(targets.get(name), tensors[first])
        return tensors, about["note"]


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Where `path` is read and taken apart: whatever that raises, the file is to blame.

    Raises:
        StoreError: it could not be read, or what it says makes no sense.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path} could not be read: {error.strerror or error}") from error
    except _DAMAGE as error:
        raise StoreError(f"{path} is damaged: {str(error)[:_LONGEST]}") from error


def _put(target: torch.Tensor | None, tensor: torch.Tensor) -> torch.Tensor:
    if target is None or target is tensor:
        return tensor
    if target.shape != tensor.shape:
        raise ValueError(f"it holds {tuple(tensor.shape)} where {tuple(target.shape)} belongs")
    with torch.no_grad():
        return target.copy_(tensor)


def flatten(value: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """Split a nested value into a JSON skeleton and the tensors it names.

    Takes None, numbers, texts, lists, tuples, mappings, tensors and NumPy arrays.

    Raises:
        TypeError: there is something else in it.
    """
    tensors: dict[str, torch.Tensor] = {}
    return _flatten(value, tensors), tensors


def unflatten(skeleton: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The value that `flatten` took apart."""
    if isinstance(skeleton, list):
        return [unflatten(item, tensors) for item in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    if _TENSOR in skeleton:
        return tensors[skeleton[_TENSOR]]
    if _ARRAY in skeleton:
        return tensors[skeleton[_ARRAY]].numpy()
    if _FLOAT in skeleton:
        return float(skeleton[_FLOAT])
    if _TUPLE in skeleton:
        return tuple(unflatten(item, tensors) for item in skeleton[_TUPLE])
    if _PAIRS in skeleton:
        return {key: unflatten(item, tensors) for key, item in skeleton[_PAIRS]}
    return {key: unflatten(item, tensors) for key, item in skeleton.items()}


def matched(skeleton: Any, into: Any) -> dict[str, torch.Tensor]:
    """The tensors of `into` by the names that a skeleton has for those at the same places.

    into: a tensor, or a mapping of such by some of the skeleton's keys.
    """
    if isinstance(into, torch.Tensor):
        return {skeleton[_TENSOR]: into}
    each = (matched(skeleton[key], value) for key, value in into.items())
    return {name: tensor for found in each for name, tensor in found.items()}


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """A hash of names, types, shapes and contents: equal only for the same tensors."""
    hasher = hashlib.blake2b(digest_size=16)
    for name, tensor in tensors.items():
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        hasher.update(as_bytes(tensor))
    return hasher.hexdigest()


class _Checksum:
    """Of tensors, each added in the order of their names, and of what is said about them."""

    def __init__(self) -> None:
        self._each: list[str] = []

    def add(self, name: str, tensor: torch.Tensor) -> None:
        self._each.append(digest({name: tensor}))

    def of(self, about: Mapping[str, Any]) -> str:
        text = json.dumps(about, sort_keys=True) + " ".join(self._each)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _flatten(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor | np.ndarray):
        name = str(len(tensors))
        if isinstance(value, torch.Tensor):
            tensors[name] = value
            return {_TENSOR: name}
        tensors[name] = torch.from_numpy(np.array(value, order="C"))
        return {_ARRAY: name}
    if isinstance(value, tuple):
        return {_TUPLE: [_flatten(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_flatten(item, tensors) for item in value]
    if isinstance(value, dict):
        return _flatten_mapping(value, tensors)
    raise TypeError(f"a {type(value).__name__} can't be kept in the journal; use tensors and JSON")


def _flatten_mapping(value: dict[Any, Any], tensors: dict[str, torch.Tensor]) -> Any:
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: _flatten(item, tensors) for key, item in value.items()}
    if not all(isinstance(key, str | int) for key in value):
        raise TypeError("keys of a mapping kept in the journal must be texts or whole numbers")
    return {_PAIRS: [[key, _flatten(item, tensors)] for key, item in value.items()]}
