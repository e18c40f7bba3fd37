"""Which part of a network a weight is, and how much of its change a pack keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bequest.lazy import torch
from bequest.ops.directions import directions_size
from bequest.ops.factors import grouped
from bequest.ops.forms import sparse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bequest.ops.factors import Group

Part = Literal["prune", "attention", "mlp", "whole"]

_ATTENTION = {
    "q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "out_proj", "query", "key", "value",
    "query_key_value", "Wqkv",
}  # fmt: skip
_ENDS = ("embed", "lm_head", "wte", "wpe", "classifier", "score", "head")
_OF_A_NAME = 190  # bytes that a weight takes in the file's header, beside its name twice
_OF_A_FILE = 400


def parts_of(module: torch.nn.Module) -> dict[str, Part]:
    """What each matrix is by its name; all else is kept whole.

    Embeddings, convolutions and the last linear layer are pruned, and the first linear layer where
    there is neither; linear layers between are projections of attention or of an MLP.
    """
    linear, head = linear_layers(module), _head(module)
    inputs = _layers_of(module, (torch.nn.Embedding, torch.nn.Conv1d, torch.nn.Conv2d))
    ends = set(list(linear)[-1:] if head is None else ())
    ends |= set() if inputs else set(list(linear)[:1])
    found: dict[str, Part] = {f"{name}.weight": "prune" for name in inputs}
    for name, layer in linear.items():
        own = layer.base_layer if hasattr(layer, "base_layer") else layer
        is_end = name in ends or (head is not None and own.weight is head.weight)
        attention = name.rpartition(".")[2] in _ATTENTION
        found[f"{name}.weight"] = "prune" if is_end else "attention" if attention else "mlp"
    return found


def by_name(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Part]:
    """What each matrix is, as far as its name tells, where the network is not at hand."""
    return {name: _named(name, shape) for name, shape in shapes.items()}


def _named(name: str, shape: tuple[int, ...]) -> Part:
    path = name.split(".")
    layer = path[-2] if len(path) > 1 else path[0]
    if len(shape) < 2:
        return "whole"
    if len(shape) > 2 or any(word in layer for word in _ENDS):
        return "prune"
    return "attention" if layer in _ATTENTION else "mlp"


def linear_layers(module: torch.nn.Module) -> dict[str, Any]:
    """Linear layers by path, in order; with adapters, the layer around."""
    return _layers_of(module, (torch.nn.Linear,))


def _layers_of(module: torch.nn.Module, kinds: tuple[type, ...]) -> dict[str, Any]:
    found, around = {}, ""
    for path, each in module.named_modules():
        if around and path.startswith(around):
            continue  # the inner layer, and the adapters' own
        if hasattr(each, "base_layer"):
            around = f"{path}."
            if isinstance(each.base_layer, kinds):
                found[path] = each
        elif isinstance(each, kinds):
            found[path] = each
    return found


def _head(module: Any) -> Any:
    """The output layer of a language model."""
    ask = getattr(module, "get_output_embeddings", None)
    return ask() if ask else None


@dataclass(frozen=True)
class Plan:
    """How much of each matrix is kept.

    entries: of those that are pruned; groups: of the directions of those that are taken apart,
    from how many there are.
    """

    entries: Mapping[str, int]
    groups: Mapping[str, Callable[[Sequence[float]], list[Group]]]


def within(
    share: float,
    shapes: Mapping[str, tuple[int, ...]],
    parts: Mapping[str, Part],
    bits: Sequence[tuple[int, float]],
    groupsize: int,
) -> Plan:
    """As much as fits into a share of the size that the whole change has in float16.

    What is kept whole and the file's header are paid first; every matrix gets its part of the rest
    by its size, and at least one entry or direction: small networks may take more than the share.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    left = 2 * share * sum(sizes.values()) - _OF_A_FILE
    left -= sum(_OF_A_NAME + 2 * len(name) for name in shapes)
    matrices = {name: size for name, size in sizes.items() if parts.get(name, "whole") != "whole"}
    left -= sum(4 * size for name, size in sizes.items() if name not in matrices)
    pruned = {name: size for name, size in matrices.items() if parts[name] == "prune"}
    groups: dict[str, Callable[[Sequence[float]], list[Group]]] = {}
    each = max(left, 0) / max(sum(matrices.values()), 1)
    for name in matrices.keys() - pruned.keys():
        rank = _rank_within(each * sizes[name], shapes[name], bits, groupsize)
        groups[name] = _at_most(rank, bits)
        out, width = shapes[name]
        left -= directions_size((out, width), grouped(rank, bits), groupsize)
    # What all directions of a matrix don't need is there for what is pruned.
    each = max(left, 0) / max(sum(pruned.values()), 1)
    entries = {name: entries_within(each * size, size) for name, size in pruned.items()}
    return Plan(entries, groups)


def entries_within(room: float, size: int, value_bits: int = 32) -> int:
    """How many entries fit into so many bytes; at least one."""
    return _largest(size, lambda count: sparse_size(size, count, value_bits) <= room)


def _rank_within(
    room: float, shape: tuple[int, ...], bits: Sequence[tuple[int, float]], groupsize: int
) -> int:
    out, width = shape

    def fits(rank: int) -> bool:
        return directions_size((out, width), grouped(rank, bits), groupsize) <= room

    return _largest(min(shape), fits)


def _at_most(rank: int, bits: Sequence[tuple[int, float]]) -> Callable[..., list[Group]]:
    return lambda sigma: grouped(min(rank, len(sigma)), bits)


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number from 1 to `most` that fits, where smaller ones do too; 1 if none does."""
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
