"""Momentum weight interpolation (momentum-contrast learning of Roth et al. 2024, section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


class SlowWeights:
    """Weights that follow a module's slowly: slow ← κ · slow + (1 − κ) · live.

    module: whose weights and buffers are followed; kappa: κ, in [0, 1).
    every: steps from one interpolation to the next; epoch: steps of an epoch.
    late: begin with the weights after the first step, and interpolate after the steps of each
        epoch whose number, from 0, is a multiple of `every`, as the released code does; otherwise
        begin with the weights before it, and interpolate after every so many steps of the fit.
    """

    def __init__(
        self, module: torch.nn.Module, kappa: float, every: int, epoch: int, *, late: bool
    ) -> None:
        self._module, self._kappa = module, kappa
        self._every, self._epoch, self._late = every, epoch, late
        self._slow = _copied(module)

    def follow(self, modules: Any, step: int) -> None:
        """Take in the live weights after the step numbered `step`, from 0."""
        if self._late and step == 0:
            self._slow = _copied(self._module)
        elif self._due(step):
            for name, live in self._module.state_dict().items():
                self._slow[name] = _between(self._slow[name], live, self._kappa)

    def put_in(self) -> None:
        """Make the slow weights those of the module."""
        self._module.load_state_dict(self._slow)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The slow weights."""
        return self._slow

    def load_state_dict(self, slow: Mapping[str, torch.Tensor]) -> None:
        """Go on from slow weights that were kept."""
        self._slow = dict(slow)

    def _due(self, step: int) -> bool:
        return (step % self._epoch if self._late else step + 1) % self._every == 0


def _copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def _between(slow: torch.Tensor, live: torch.Tensor, kappa: float) -> torch.Tensor:
    # counters, such as batches seen by a normalisation, have no value in between
    return kappa * slow + (1 - kappa) * live if live.is_floating_point() else live.clone()
