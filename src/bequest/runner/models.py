"""Models that a step delivers: weights as safetensors, and how to build what they go into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.store.files import write_json
from bequest.store.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bequest.core.live import Model
    from bequest.runner.prepare import Held, Prepared


def save_model(folder: Path, held: Held, prepared: Prepared) -> None:
    """Write `model.safetensors` and `model.json`, which `{use: saved, path: …}` reads."""
    first = next(iter(prepared.tasks.values()))
    use = prepared.plan.resolved["models"][held.origin]
    description = {
        "use": use["use"],
        "spec": {key: value for key, value in use.items() if key != "use"},
        "shape": list(first.shape),
        "kind": first.kind,
        "labels": list(held.model.labels),
    }
    save_tensors(folder / "model.safetensors", held.model.module.state_dict())
    write_json(folder / "model.json", description)


def load_weights(model: Model, folder: Path) -> None:
    """Put the weights that `save_model` wrote into a model built alike."""
    model.module.load_state_dict(load_tensors(folder / "model.safetensors"))


def save_pack(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write what a stage delivers beside its model."""
    save_tensors(path, tensors)


def parameter_cost(model: Model) -> dict[str, float]:
    """Parameters of a model, and the bytes of all it holds; shared ones counted once."""
    tensors = {id(tensor): tensor for tensor in model.module.parameters()}
    buffers = {id(tensor): tensor for tensor in model.module.buffers()}
    held = {**tensors, **buffers}.values()
    return {
        "parameters": float(sum(tensor.numel() for tensor in tensors.values())),
        "bytes": float(sum(tensor.numel() * tensor.element_size() for tensor in held)),
    }
