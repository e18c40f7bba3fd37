"""Tensors on disk, as safetensors only, and nested values made of tensors and JSON."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import StoreError
from bequest.lazy import safetensors_torch, torch
from bequest.store.files import atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TENSOR, _ARRAY, _TUPLE, _PAIRS = "$tensor", "$array", "$tuple", "$pairs"
_FLOAT = "$float"  # JSON has no NaN and no infinity
_ABOUT = "bequest"


def save_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], note: Mapping[str, str] | None = None
) -> None:
    """Write tensors as one safetensors file; tensors that share memory are stored once.

    note: short texts for the file's metadata, where a checksum of it all stands too.
    """
    kept: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple[Any, ...], str] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device)
        if tensor.numel() and place in seen:
            aliases[name] = seen[place]
            continue
        seen[place] = name
        own = _own_memory(tensor)
        # safetensors refuses what shares memory under another shape or type
        kept[name] = own.clone() if own.numel() and own.data_ptr() in taken else own
        taken.add(own.data_ptr())
    about: dict[str, Any] = {"note": dict(note or {}), "aliases": aliases}
    about["checksum"] = _checksum(kept, about)
    # One text: safetensors writes several in an order that is never twice the same.
    with atomic(path) as temporary:
        _write(kept, temporary, {_ABOUT: json.dumps(about)})


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that `save_tensors` wrote.

    Raises:
        StoreError: the file is missing or damaged.
    """
    return load_noted(path)[0]


def load_noted(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a file that `save_tensors` wrote, and the note in its metadata.

    Raises:
        StoreError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = json.loads((file.metadata() or {}).get(_ABOUT, "{}"))
        if about.pop("checksum", None) != _checksum(tensors, about):
            raise ValueError("its checksum is another")
    except OSError as error:
        raise StoreError(f"{path} could not be read: {error.strerror or error}") from error
    except (SafetensorError, AttributeError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    shared = {name: tensors[first] for name, first in about["aliases"].items()}
    return tensors | shared, about["note"]


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


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """A hash of names, types, shapes and contents: equal only for the same tensors."""
    hasher = hashlib.blake2b(digest_size=16)
    for name, tensor in tensors.items():
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        flat = tensor.detach().contiguous().cpu().reshape(-1)
        if flat.numel():
            hasher.update(flat.view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def _checksum(tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> str:
    # safetensors gives names back in an order of its own
    text = json.dumps(about, sort_keys=True) + digest(dict(sorted(tensors.items())))
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


def _write(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    from safetensors import SafetensorError

    try:
        safetensors_torch.save_file(tensors, str(path), metadata=metadata)
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))
        raise OSError(int(code[1]) if code else 0, str(error)) from error


def _own_memory(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().cpu()
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if whole else tensor.contiguous().clone()
