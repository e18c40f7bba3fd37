"""The terms of a loss: their weights, values and shares of the gradient."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from bequest.core.errors import NotFinite, RunError
from bequest.lazy import torch
from bequest.store.processes import ALONE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.store.processes import Processes

    Value: TypeAlias = "torch.Tensor | Mean"
    Term: TypeAlias = Value | tuple[float, Value]

CURVE_POINTS = 100
SHARE_POINTS = 10


@dataclass(frozen=True, slots=True)
class Mean:
    """A term that is a mean over something other than the samples of a batch, such as tokens.

    total: the sum over this batch, a single number; count: over how many things, as a number or a
    tensor without gradient. Where processes share a batch, the term is the total of all by the
    count of all; it is 0 where nothing was counted.
    """

    total: torch.Tensor
    count: float | torch.Tensor


def weighed(
    terms: Mapping[str, Term], share: float = 1.0, processes: Processes = ALONE
) -> dict[str, tuple[float, torch.Tensor]]:
    """Every term as (weight, value); a bare tensor has weight 1.

    share: of the batch's samples, those this process has; the values of all processes add up to
    the term over the whole batch.

    Raises:
        RunError: there is no term, or one is not a single number.
    """
    if not terms:
        raise RunError("the loss gave no term; it must give {name: tensor}")
    pairs = {name: term if isinstance(term, tuple) else (1.0, term) for name, term in terms.items()}
    counts = _counts(pairs, processes)
    found = {}
    for name, (weight, value) in pairs.items():
        if isinstance(value, Mean):
            value = value.total / counts[name]
        elif share != 1.0:
            value = value * share
        if value.numel() != 1:
            raise RunError(
                f"loss term `{name}` has shape {tuple(value.shape)}; it must be a single number"
            )
        found[name] = (weight, value)
    return found


def _counts(
    pairs: Mapping[str, tuple[float, Value]], processes: Processes
) -> dict[str, torch.Tensor]:
    """What the total of each `Mean` is divided by: the count over all processes."""
    means = {name: value for name, (_, value) in pairs.items() if isinstance(value, Mean)}
    if not means:
        return {}
    like = next(iter(means.values())).total
    counts = [torch.as_tensor(mean.count, device=like.device).float() for mean in means.values()]
    whole = torch.stack([count.detach().reshape(()) for count in counts])
    processes.sum([whole])
    # What counted nothing has the total 0, so any divisor will do.
    return dict(zip(means, torch.where(whole > 0, whole, 1.0), strict=True))


def total(pairs: Mapping[str, tuple[float, torch.Tensor]]) -> torch.Tensor:
    """The weighted sum."""
    values = [value if weight == 1 else weight * value for weight, value in pairs.values()]
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result


def shares(
    pairs: Mapping[str, tuple[float, torch.Tensor]],
    parameters: Sequence[torch.nn.Parameter],
    processes: Processes = ALONE,
) -> dict[str, float]:
    """How much of the gradient each weighted term makes: its norm over the sum of all norms.

    Costs one backward pass a term and leaves every `.grad` as it is. Empty where a gradient is not
    finite: nothing is a share of that.
    """
    if len(pairs) == 1:
        return dict.fromkeys(pairs, 1.0)
    norms = {
        name: _norm(weight * value, parameters, processes)
        for name, (weight, value) in pairs.items()
    }
    whole = sum(norms.values())
    if not isfinite(whole):
        return {}
    return {name: norm / whole if whole else 0.0 for name, norm in norms.items()}


def _norm(
    value: torch.Tensor, parameters: Sequence[torch.nn.Parameter], processes: Processes
) -> float:
    found: tuple[torch.Tensor | None, ...] = (None,) * len(parameters)
    if value.requires_grad:
        found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    if processes.count > 1:
        # A sum needs every process to bring the same gradients, also those it found none of.
        pairs = zip(found, parameters, strict=True)
        brought = [torch.zeros_like(p) if each is None else each for each, p in pairs]
        processes.sum(brought)
        found = tuple(brought)
    norms = [torch.linalg.vector_norm(gradient) for gradient in found if gradient is not None]
    return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else 0.0


class Curves:
    """The course of every term over a fit, at about a hundred points.

    Values are gathered on the device and read once a point, so a step waits for nothing.
    """

    def __init__(self, steps: int, points: list[dict[str, Any]] | None = None) -> None:
        self._every = max(1, steps // CURVE_POINTS)
        self._share_every = max(1, steps // SHARE_POINTS)
        self._last = steps - 1
        self._values: dict[str, list[torch.Tensor]] = {}
        self._weights: dict[str, float] = {}
        self._shares: dict[str, float] = {}
        self.points = points if points is not None else []

    def wants_shares(self, step: int) -> bool:
        """Whether the shares of the gradient are to be measured at this step."""
        return step % self._share_every == 0

    def add(
        self, step: int, pairs: Mapping[str, tuple[float, torch.Tensor]], found: dict[str, float]
    ) -> bool:
        """Take in the terms of a step; true when this completed a point.

        Raises:
            NotFinite: a term became NaN or infinite since the last point.
        """
        if found:
            self._shares = found
        for name, (weight, value) in pairs.items():
            self._values.setdefault(name, []).append(value.detach())
            self._weights[name] = float(weight)
        if (step + 1) % self._every and step != self._last:
            return False
        self._point(step)
        return True

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs."""
        values = {name: torch.stack(seen) for name, seen in self._values.items()}
        return {
            "points": self.points,
            "values": values,
            "weights": self._weights,
            "shares": self._shares,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.points = state["points"]
        self._values = {name: list(seen.unbind()) for name, seen in state["values"].items()}
        self._weights, self._shares = state["weights"], state["shares"]

    def _point(self, step: int) -> None:
        for name, seen in self._values.items():
            values = torch.stack(seen)
            value = float(values.mean())
            if not isfinite(value):
                raise _not_finite(name, values, step + 1 - len(seen))
            self.points.append(
                {
                    "step": step,
                    "term": name,
                    "weight": self._weights[name],
                    "value": value,
                    "share": self._shares.get(name),
                }
            )
        self._values = {}


def _not_finite(name: str, values: torch.Tensor, first: int) -> NotFinite:
    """The error of a term; values: of the steps from `first` on, [steps]."""
    odd = (~values.isfinite()).nonzero()
    if not len(odd):
        return NotFinite(f"loss term `{name}` became too large to be averaged by step {first}")
    at = int(odd[0])
    return NotFinite(
        f"loss term `{name}` became {float(values[at])} at step {first + at}",
        "try a lower fit.optimizer.lr or set fit.clip_norm",
    )
