"""What a fit may change in its modules, and what it must leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.core.errors import RunError
from bequest.lazy import torch
from bequest.store.tensors import digest

if TYPE_CHECKING:
    from collections.abc import Mapping


def named_modules(modules: Any) -> dict[str, torch.nn.Module]:
    """What takes part in a fit, by name: a model, a module, or a mapping of either."""
    parts = modules if isinstance(modules, dict) else {"": modules}
    return {name: getattr(part, "module", part) for name, part in parts.items()}


def trainable(modules: Mapping[str, torch.nn.Module]) -> list[torch.nn.Parameter]:
    """Every parameter that wants a gradient, each once.

    Raises:
        RunError: there is none.
    """
    found = {
        id(parameter): parameter
        for module in modules.values()
        for parameter in module.parameters()
        if parameter.requires_grad
    }
    if not found:
        raise RunError("nothing to fit: no parameter of these modules wants a gradient")
    return list(found.values())


def state(modules: Mapping[str, torch.nn.Module]) -> dict[str, torch.Tensor]:
    """What a fit may change: trainable parameters, and buffers."""
    found: dict[str, torch.Tensor] = {}
    for name, module in modules.items():
        tensors = [*module.named_parameters(), *module.named_buffers()]
        for path, tensor in tensors:
            if tensor.requires_grad or not isinstance(tensor, torch.nn.Parameter):
                found[f"{name}.{path}" if name else path] = tensor.detach()
    return found


def load_state(modules: Mapping[str, torch.nn.Module], saved: Mapping[str, torch.Tensor]) -> None:
    """Put back what `state` gave."""
    with torch.no_grad():
        for name, tensor in state(modules).items():
            tensor.copy_(saved[name])


def reading(modules: Any) -> dict[str, str]:
    """How models among `modules` make tokens of texts, as an input of a journal entry; {} if none.

    modules: as for a fit.
    """
    parts = modules.values() if isinstance(modules, dict) else [modules]
    told = [reads for part in parts if (reads := getattr(innermost(part), "reads", ""))]
    return {"tokens": " ".join(told)} if told else {}


def innermost(part: Any) -> Any:
    """The model that views such as heads ask in the end."""
    while inner := getattr(part, "inner", None) or getattr(part, "model", None):
        part = inner
    return part


def normalises_batches(module: torch.nn.Module) -> bool:
    """Whether it has batch norm, which takes statistics of a batch while it trains."""
    return any(isinstance(part, torch.nn.modules.batchnorm._BatchNorm) for part in module.modules())


def fingerprint(modules: Mapping[str, torch.nn.Module]) -> str:
    """A hash of everything the modules hold before the fit."""
    tensors = {
        f"{name}.{path}": tensor
        for name, module in modules.items()
        for path, tensor in module.state_dict().items()
        if isinstance(tensor, torch.Tensor)
    }
    return digest(tensors)
