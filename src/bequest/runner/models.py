"""Models that a step delivers: weights as safetensors, and how to build what they go into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.build.heads import head_names, with_heads
from bequest.build.model import own_labels
from bequest.core.errors import StoreError
from bequest.lazy import torch
from bequest.store.files import read_json, write_json
from bequest.store.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bequest.core.live import Model
    from bequest.runner.preparing import Prepared


def save_model(folder: Path, model: Model, origin: str, given: Model, prepared: Prepared) -> None:
    """Write `model.safetensors` and `model.json`, which `{use: saved, path: …}` reads.

    origin: name of the input model in the recipe, whose spec builds what the weights go into;
    given: that model. What every build of it brings along is not written again.
    """
    first = prepared.pattern
    spec = prepared.described(origin)
    whole = not prepared.plan.models[origin].comes_with_weights()
    description = {
        "use": spec.pop("use"),
        "spec": spec,
        "shape": list(first.shape),
        "kind": first.kind,
        "labels": list(own_labels(model)),
        "heads": list(head_names(model)),
        "whole": whole,
    }
    save_weights(model.module, folder / "model.safetensors", None if whole else given.module)
    write_json(folder / "model.json", description)


def load_weights(model: Model, folder: Path) -> Model:
    """The model that `save_model` wrote, from one that was built alike."""
    told = read_json(folder / "model.json")
    model = with_heads(model, told["heads"])
    fill(model.module, folder / "model.safetensors", whole=told["whole"])
    return model


def save_weights(module: torch.nn.Module, path: Path, given: torch.nn.Module | None = None) -> None:
    """Write all that a module holds, or what trains or differs from `given`, for `fill` to read.

    What trains may have been drawn anew in every build, such as adapters, and not been moved yet.
    """
    held = module.state_dict()
    before = given.state_dict() if given else {}
    trained = {name for name, weight in module.named_parameters() if weight.requires_grad}
    kept = {name: own for name, own in held.items()
            if name in trained or not _same(own, before, name)}  # fmt: skip
    save_tensors(path, kept)


def fill(module: torch.nn.Module, path: Path, *, whole: bool = True) -> None:
    """Read what a module holds from a file, tensor by tensor; all of it, or what was changed.

    Raises:
        StoreError: the file is missing, damaged, or another module's.
    """
    places = module.state_dict()
    found = load_tensors(path, places)
    if odd := sorted(found.keys() ^ places.keys() if whole else found.keys() - places.keys()):
        raise StoreError(f"{path} is another model's: it differs in {', '.join(odd[:5])}")


def _same(tensor: torch.Tensor, before: Mapping[str, torch.Tensor], name: str) -> bool:
    there = before.get(name)
    return there is not None and torch.equal(tensor, there)


def parameter_cost(model: Model) -> dict[str, float]:
    """Parameters of a model, and the bytes of all it holds; shared ones counted once."""
    tensors = {id(tensor): tensor for tensor in model.module.parameters()}
    buffers = {id(tensor): tensor for tensor in model.module.buffers()}
    held = {**tensors, **buffers}.values()
    return {
        "parameters": float(sum(tensor.numel() for tensor in tensors.values())),
        "bytes": float(sum(tensor.numel() * tensor.element_size() for tensor in held)),
    }
