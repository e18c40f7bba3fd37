"""The layers of a model that gradient projection protects: their inputs, gradients and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bequest.build.heads import Headed
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts
from bequest.lazy import functional, torch
from bequest.ops.regimes import scaled
from bequest.ops.subspaces import condensed, patches
from bequest.transfer.taps import Taps

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bequest.core.live import Batch, Model

    Layers = Mapping[str, Any]
    ByLayer = dict[str, torch.Tensor]
    Pairs = Mapping[str, Mapping[str, tuple[torch.Tensor, torch.Tensor]]]

CHUNK = 32  # samples whose patches are in memory at once


def protected_layers(model: Model) -> dict[str, Any]:
    """Linear and convolution layers by dotted name, without the heads of single tasks.

    Raises:
        RequestError: there is none.
    """
    kinds, heads = (torch.nn.Linear, torch.nn.Conv2d), _inside_heads(model)
    found = {
        path: part
        for path, part in model.module.named_modules()
        if isinstance(part, kinds) and part.weight.requires_grad and part not in heads
    }
    if not found:
        what = "the model has no trainable layer in which gradients can be projected"
        raise RequestError(Problem(what, "it needs torch.nn.Linear or torch.nn.Conv2d layers"))
    return found


def others(model: Model, layers: Layers) -> list[torch.nn.Parameter]:
    """What else trains, beside the weights of `layers` and the heads of single tasks."""
    free = [weight for part in _inside_heads(model) for weight in part.parameters()]
    known = {id(weight) for weight in (*free, *(layer.weight for layer in layers.values()))}
    return [
        weight
        for weight in model.module.parameters()
        if weight.requires_grad and id(weight) not in known
    ]


def with_statistics(module: torch.nn.Module) -> list[torch.nn.Module]:
    """Normalisation layers that follow the data while training."""
    return [part for part in module.modules() if hasattr(part, "running_mean")]


def representations(model: Any, layers: Layers, inputs: torch.Tensor) -> ByLayer:
    """What each layer is given, [in, n], for inputs [batch, …]; float64, on the CPU, condensed.

    Raises:
        RequestError: the inputs are texts.
    """
    if isinstance(inputs, Texts):
        what = "what layers are given can't be taken from texts, as their padding would count"
        raise RequestError(Problem(what, "use a method such as `ewc`, `lwf` or `replay`"))
    found: ByLayer = {}
    with torch.no_grad(), Taps(model.module, list(layers)) as seen:
        for part in torch.split(inputs, CHUNK):
            model.logits(part)
            for name, layer in layers.items():
                columns = _columns(seen[name].input, layer).double().cpu()
                there = found.get(name, columns[:, :0])
                found[name] = condensed(torch.cat([there, columns], dim=1))
    return found


def gradients(model: Any, layers: Layers, batch: Batch) -> ByLayer:
    """Gradient of the cross-entropy with each layer's weight, as a matrix [out, in]."""
    loss = functional.cross_entropy(model.logits(batch.inputs), batch.targets)
    weights: list[Any] = [layer.weight for layer in layers.values()]
    found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return {
        name: slope.detach().flatten(1).contiguous()
        for name, slope in zip(layers, found, strict=True)
    }


@dataclass(eq=False)
class Scaled:
    """A model that answers with the effective weights of one task; it shares its module.

    pairs: by layer and old task, the basis and scaling matrix of what this task builds upon.
    """

    model: Any
    pairs: Pairs
    answers: Collection[str] = frozenset({"logits"})

    def __post_init__(self) -> None:
        self.module: torch.nn.Module = self.model.module
        self.labels: tuple[str, ...] = tuple(self.model.labels)
        self._asked = _asked(self.model)

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """One unnormalised score per label for inputs [batch, …]: [batch, labels]."""
        weights = {}
        for name, pairs in self.pairs.items():
            weight: Any = self.module.get_submodule(name).weight
            effective = scaled(weight.flatten(1), list(pairs.values()))
            weights[f"inner.{name}.weight"] = effective.view_as(weight)
        logits: torch.Tensor = torch.func.functional_call(self._asked, weights, (inputs,))
        return logits


def _asked(model: Any) -> torch.nn.Module:
    """The model's `logits` as a module, so that weights under it can be replaced for one call."""

    class Asked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model.module

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = model.logits(inputs)
            return logits

    return Asked()


def _columns(inputs: torch.Tensor | None, layer: Any) -> torch.Tensor:
    """What the layer multiplies its weights with, [in, n]; none where it was not asked."""
    if inputs is None:
        return torch.empty(layer.weight[0].numel(), 0)
    if isinstance(layer, torch.nn.Conv2d):
        return patches(inputs, layer)
    return inputs.flatten(0, -2).T


def _inside_heads(model: Any) -> set[torch.nn.Module]:
    """The heads of single tasks; they stand under the names of their tasks."""
    names = {f"for-{task}" for task in model.heads} if isinstance(model, Headed) else set()
    return {part for path, part in model.module.named_modules() if names & set(path.split("."))}
