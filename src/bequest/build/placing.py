"""Whether every weight of a pretrained model's files found its place, and every place its weight.

transformers draws new numbers for what it does not find, and passes over what it has no place for.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bequest.build.weight_files import some
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

# What torch puts into names where a module was compiled, or wrapped to be trained in parallel.
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_PARALLEL = r"^(?:module\.)+"
_POOLER = "pooler"
# Tables that older versions of transformers saved, and newer ones make by themselves.
_TABLES = re.compile(r"(^|\.)(masked_bias|inv_freq|position_ids)$")


@dataclass(frozen=True)
class Placed:
    """What became of the weights of a file, by their names.

    missing: places of the base model without a weight; headless: places beside it without one;
    unknown: weights that the model has no place for; shapes: weights of another shape than their
    place, each with both; new: places in a head that is to be new; unused: weights outside the part
    of the model that is read.
    """

    missing: list[str] = field(default_factory=list)
    headless: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether every weight has its place, and every place its weight."""
        return not (self.missing or self.headless or self.unknown or self.shapes)


def placed(net: Any, info: Mapping[str, Collection[Any]], *, new_head: bool) -> Placed:
    """What transformers' `output_loading_info` comes to.

    new_head: whether what stands beside the base model is to be new.
    """
    found = Placed()
    reads_base = net.base_model is net
    for name in sorted(info["missing_keys"]):
        outside = _is_outside(net, name)
        if outside and (new_head or (reads_base and name.startswith(_POOLER))):
            found.new.append(name)
        else:
            (found.headless if outside else found.missing).append(name)
    for name in sorted(info["unexpected_keys"]):
        outside = _is_outside(net, name) and (new_head or reads_base)
        unused = outside or _TABLES.search(name)
        (found.unused if unused else found.unknown).append(name)
    for name, there, wanted in sorted(info["mismatched_keys"]):
        if new_head and _is_outside(net, name):
            found.new.append(name)
        else:
            found.shapes.append(f"{name} {list(there)} instead of {list(wanted)}")
    return found


def _is_outside(net: Any, name: str) -> bool:
    """Whether a weight belongs to none of the base model's parts, but perhaps its pooler."""
    base, prefix = net.base_model, net.base_model_prefix
    own = name.removeprefix(f"{prefix}.") if prefix else name
    parts = {part for part, _ in base.named_children()}
    parts |= {part for part, _ in base.named_parameters(recurse=False)}
    return own.partition(".")[0] not in parts - {_POOLER}


def unwrapping(names: Iterable[str]) -> dict[str, str]:
    """What takes torch's wrappers out of names: patterns and what stands in place of each.

    Raises:
        ValueError: two names would become one.
    """
    every = list(names)
    found = {rf"{one}\.": "" for one in _WRAPPERS if any(f"{one}." in name for name in every)}
    plain = [_renamed(name, found) for name in every]
    if any(name.startswith("module.") for name in plain):
        found[_PARALLEL] = ""
    _refuse_collisions([_renamed(name, found) for name in every])
    return found


def one_level_up(names: Iterable[str]) -> dict[str, str]:
    """The same for the first part of names, where all have the same; otherwise nothing."""
    every = list(names)
    firsts = {name.partition(".")[0] for name in every}
    if len(firsts) != 1 or not all("." in name for name in every):
        return {}
    return {rf"^{re.escape(firsts.pop())}\.": ""}


def _renamed(name: str, patterns: Mapping[str, str]) -> str:
    for pattern, instead in patterns.items():
        name = re.sub(pattern, instead, name)
    return name


def _refuse_collisions(names: list[str]) -> None:
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"weights are there both wrapped and unwrapped ({some(twice)})")


def not_numbers(net: torch.nn.Module) -> list[str]:
    """Names of the weights that hold NaN or infinity."""
    return [
        name
        for name, weight in net.state_dict().items()
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all())
    ]
