"""What gradient projection keeps of learnt tasks, and what it protects while learning another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bequest.core.pack import Pack
from bequest.lazy import torch
from bequest.ops.subspaces import union

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.methods.continual._layers import ByLayer, Pairs


@dataclass(frozen=True)
class Learnt:
    """What is kept of one task, by layer.

    bases: [in, r], float64; gradients: of the task's loss after it was learnt, [out, in], where
    the method compares with them; pairs: by layer and older task, basis and scaling matrix of its
    effective weights.
    """

    bases: ByLayer
    gradients: ByLayer
    pairs: Pairs


@dataclass
class Memory:
    """All learnt tasks in their order, and by layer a basis of all that they use, [in, R]."""

    learnt: dict[str, Learnt] = field(default_factory=dict)
    accumulated: ByLayer = field(default_factory=dict)

    def add(self, task: str, kept: Learnt, new: ByLayer) -> None:
        """Keep a task and its `new` directions."""
        self.learnt[task] = kept
        for layer, directions in new.items():
            there = self.accumulated.get(layer, directions[:, :0])
            self.accumulated[layer] = torch.cat([there, directions], dim=1)

    def bases(self, layer: str) -> dict[str, torch.Tensor]:
        """The layer's basis of each learnt task, [in, r]."""
        return {task: kept.bases[layer] for task, kept in self.learnt.items()}

    def packs(self, task: str) -> dict[str, Pack]:
        """What a task's effective weights are made of, to be kept beside the model; may be none."""
        tensors = {
            f"{layer}.{old}.{part}": tensor
            for layer, there in self.learnt[task].pairs.items()
            for old, pair in there.items()
            for part, tensor in zip(("basis", "scaling"), pair, strict=True)
        }
        return {f"scalings-{task}": Pack("scalings", tensors, {"task": task})} if tensors else {}


class Protection:
    """The regime of every old task at every layer while a task is learnt.

    Regimes change within a fit, so a fit keeps this: tasks in regime 1 and 2 are protected, those
    in regime 3 are not.

    regimes: by layer, by task: 1, 2 or 3.
    """

    def __init__(self, memory: Memory, regimes: dict[str, dict[str, int]]) -> None:
        self._memory, self._regimes = memory, regimes
        self._basis: dict[str, torch.Tensor | None] = {}

    def tasks(self, layer: str, *regimes: int) -> list[str]:
        """The tasks in one of `regimes` at a layer, oldest first."""
        return [task for task, found in self._regimes[layer].items() if found in regimes]

    def protect(self, layer: str, task: str) -> None:
        """Move a task from regime 3 to 2 at one layer."""
        self._regimes[layer][task] = 2
        self._basis.pop(layer, None)

    def basis(self, layer: str, like: torch.Tensor) -> torch.Tensor | None:
        """An orthonormal basis [in, r] of what is protected, made `like` the layer's weight."""
        if layer not in self._basis:
            found = self._protected(layer)
            self._basis[layer] = None if found is None else found.to(like)
        return self._basis[layer]

    def state_dict(self) -> dict[str, Any]:
        """All regimes."""
        return {"regimes": self._regimes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with these regimes."""
        self._regimes = state["regimes"]
        self._basis.clear()

    def _protected(self, layer: str) -> torch.Tensor | None:
        if not self._regimes[layer]:
            return None
        kept = self.tasks(layer, 1, 2)
        if len(kept) == len(self._regimes[layer]):
            return self._memory.accumulated[layer]
        bases: Sequence[torch.Tensor] = [self._memory.bases(layer)[task] for task in kept]
        return union(bases) if bases else None
