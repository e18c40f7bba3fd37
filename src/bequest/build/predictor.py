"""A live model that predicts a number, in the unit of the user."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.core.live import Target


@dataclass(eq=False)
class Predictor:
    """A module that returns one number for each input, with the name of what it predicts.

    module: maps inputs [batch, …] to numbers, float64 [batch]; see `predictor`.
    labels: the one name of the target.
    """

    module: torch.nn.Module
    labels: tuple[str, ...]
    answers: Collection[str] = frozenset({"predict"})

    @property
    def deviation(self) -> torch.Tensor:
        """What one standard unit of the target is in the unit of the user: [1]."""
        return cast("torch.Tensor", self.module.deviation)

    def predict(self, inputs: Any) -> torch.Tensor:
        """One number for each of the inputs [batch, …], in the unit of the target: [batch]."""
        return cast("torch.Tensor", self.module(inputs))


def predictor(body: torch.nn.Module, target: Target) -> Predictor:
    """The model of a module that gives standard units of the target.

    body: maps inputs [batch, …] to numbers [batch, 1] or [batch], of which 0 stands for the mean
    of the training targets and 1 for one standard deviation above it. Mean and deviation are
    buffers: they are kept with the weights, and a model that is loaded has its own.
    """
    return Predictor(_module_class()(body, target), (target.name,))


# Subclassing a module reads an attribute of torch, so the class is made on first use.
@cache
def _module_class() -> Any:
    class InUnits(torch.nn.Module):
        """A module whose standard units become the unit of the target, in float64."""

        mean: torch.Tensor
        deviation: torch.Tensor

        def __init__(self, body: torch.nn.Module, target: Target) -> None:
            super().__init__()
            self.body = body
            for name in ("mean", "deviation"):
                value = torch.tensor([getattr(target, name)], dtype=torch.float64)
                self.register_buffer(name, value)

        def forward(self, inputs: Any) -> torch.Tensor:
            standard: torch.Tensor = self.body(inputs).flatten()  # [batch, 1] -> [batch]
            return standard.to(self.mean.dtype) * self.deviation + self.mean

    return InUnits
