"""What a fit notices about itself at a handful of steps, for `bequest doctor` to read."""

from __future__ import annotations

import weakref
from math import isfinite
from typing import TYPE_CHECKING, Any

from bequest.core.live import Batch
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.live import Model


class Frozen:
    """Models that a step reads and must not change, by name; kept only as long as others do."""

    def __init__(self) -> None:
        self._known: list[tuple[str, weakref.ref[torch.nn.Module]]] = []

    def add(self, name: str, model: Model) -> None:
        """Watch a model."""
        self._known.append((name, weakref.ref(model.module)))

    def training(self) -> dict[str, list[str]]:
        """Those in training mode that still take no gradient: classes of their parts in it.

        Parts that only hold others are left out.
        """
        found = {}
        for name, reference in self._known:
            module = reference()
            if module is not None:
                parts = [part for part in module.modules() if part.training]
                kinds = {type(part).__name__ for part in parts if not _holds(part)}
                if kinds and not _learns(module):
                    found[name] = sorted(kinds)
        return found


def odd_weight(modules: Mapping[str, torch.nn.Module]) -> str:
    """The first weight or statistic that is not a number, in words; empty where all are.

    A trainable weight that is infinite counts as well; a buffer may be, as masks are.
    """
    for name, tensor in held(modules).items():
        wrong = ~tensor.isfinite() if tensor.requires_grad else tensor.isnan()
        if bool(wrong.any()):
            return f"`{name}` holds {int(wrong.sum())} numbers that are NaN or infinite"
    return ""


def held(modules: Mapping[str, torch.nn.Module]) -> dict[str, torch.Tensor]:
    """All floating-point weights and buffers, by name."""
    return {
        f"{of}.{name}" if of else name: tensor
        for of, module in modules.items()
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
        if tensor.is_floating_point()
    }


def odd_answers(models: Mapping[str, Any], batch: Any) -> str:
    """Which of these models answers a batch with what is no finite number; empty if none.

    Only models that answer by logits or predict numbers can be asked.
    """
    for name, model in models.items():
        ask = getattr(model, "logits", None) or getattr(model, "predict", None)
        if isinstance(batch, Batch) and ask:
            with torch.no_grad():
                answers = ask(batch.inputs).reshape(len(batch.ids), -1)
                sick = int((~answers.isfinite()).any(dim=1).sum())
            if sick:
                whose = f"`{name}`" if name else "the model that learns"
                return f"{whose} answers NaN, ∞ or −∞ for {sick} of {len(batch.ids)} samples"
    return ""


def is_frozen(model: Model) -> bool:
    """Whether no parameter of a model takes a gradient."""
    return not _learns(model.module)


def gradients(modules: Mapping[str, torch.nn.Module]) -> dict[str, Any]:
    """Size of the gradient at the first and the last weight that has one: [name, size].

    A size is the root mean square over the entries of the weight, so that layers of any width
    compare; None where it is not a number. Empty where no matrix or kernel has a gradient.
    """
    weights = [
        (f"{of}.{name}" if of else name, weight)
        for of, module in modules.items()
        for name, weight in module.named_parameters()
        if weight.grad is not None and weight.ndim > 1
    ]
    ends = {"first": weights[0], "last": weights[-1]} if len(weights) > 1 else {}
    return {end: [name, _size(weight)] for end, (name, weight) in ends.items()}


def _holds(part: torch.nn.Module) -> bool:
    return next(part.children(), None) is not None


def _size(weight: torch.nn.Parameter) -> float | None:
    if weight.grad is None or weight.grad.is_sparse:
        return None
    size = float(torch.linalg.vector_norm(weight.grad)) / weight.numel() ** 0.5
    return size if isfinite(size) else None


def _learns(module: torch.nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
