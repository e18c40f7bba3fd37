"""Models that a step delivers, each in a folder that is complete in itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.build.delivering import Made, deliver, fill_delivered
from bequest.build.described import DESCRIPTION
from bequest.build.heads import with_heads
from bequest.build.preparation import write_preparation
from bequest.store.files import atomic_folder, read_json

if TYPE_CHECKING:
    from pathlib import Path

    from bequest.core.live import Model
    from bequest.runner.preparing import Prepared


def save_model(folder: Path, model: Model, origin: str, given: Model, prepared: Prepared) -> None:
    """Write a folder that others read, that `{use: saved, path: …}` reads, and `Run.model`.

    origin: name of the input model in the recipe; given: that model.
    """
    first, plan = prepared.pattern, prepared.plan
    spec = prepared.described(origin)
    with atomic_folder(folder) as fresh:
        deliver(fresh, model, Made(spec, first.shape, first.kind, given))
        entries = {part: plan.resolved["tasks"][entry] for part, entry in plan.entries.items()}
        write_preparation(fresh, prepared.asked, entries)


def load_weights(model: Model, folder: Path) -> Model:
    """The model that `save_model` wrote, from one that was built alike."""
    model = with_heads(model, read_json(folder / DESCRIPTION)["heads"])
    fill_delivered(model, folder)
    return model


def parameter_cost(model: Model) -> dict[str, float]:
    """Parameters of a model, and the bytes of all it holds; shared ones counted once."""
    tensors = {id(tensor): tensor for tensor in model.module.parameters()}
    buffers = {id(tensor): tensor for tensor in model.module.buffers()}
    held = {**tensors, **buffers}.values()
    return {
        "parameters": float(sum(tensor.numel() for tensor in tensors.values())),
        "bytes": float(sum(tensor.numel() * tensor.element_size() for tensor in held)),
    }
