"""Live models lined up with the base by name, before they are merged or made into a pack."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from bequest.build.heads import head_names
from bequest.build.model import own_labels
from bequest.core.errors import Problem, RequestError
from bequest.lazy import torch
from bequest.ops.statistics import is_count, is_statistic
from bequest.transfer.parents import FIX, Parent, alike, digests, flat
from bequest.transfer.state import innermost
from bequest.transfer.weights import Weight, is_adapted, refuse_sick, weights_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.core.live import Model

# How a model reads and answers beside its weights.
_READS = ("order", "pooling", "normalized")
_AT_TRAINING_ONLY = re.compile("Drop|Identity")
_OF_TOKENS = re.compile(r", padding_idx=\d+")


class LinedUp(NamedTuple):
    """The weights of a base and of others by one set of names, with rows in the base's order.

    notes: what a user should know.
    """

    base: dict[str, Weight]
    others: list[dict[str, Weight]]
    notes: list[str]


def line_up(base: Model, others: Sequence[Model]) -> LinedUp:
    """Weights of models by name; rows of tokens and labels are put in the order of the base's.

    Every merge and every pack goes through here.

    Raises:
        RequestError: a model is not like the base, or has numbers that are not finite.
    """
    own, weights = parent_of(base), weights_of(base.module)
    found: list[dict[str, Weight]] = []
    notes: list[str] = []
    _refuse_sick(weights, "the base")
    for number, other in enumerate(others, 1):
        name = "the donor" if len(others) == 1 else f"donor {number}"
        rows, more = alike(own, parent_of(other), name)
        _refuse_other_buffers(base.module, other.module, name)
        after = weights_of(other.module)
        _refuse_sick(after, name)
        found.append({each: replace(one, rows=rows.get(each)) for each, one in after.items()})
        notes += more
    return LinedUp(weights, found, notes)


def parent_of(model: Model) -> Parent:
    """What must be known of a live model to line it up.

    Raises:
        RequestError: adapters change one use of a weight that is used twice.
    """
    weights, inner = weights_of(model.module), innermost(model)
    net = _pretrained(model.module)
    settings = {name: getattr(inner, name) for name in _READS if hasattr(inner, name)}
    if net is not None:
        settings |= flat({**net.config.to_dict(), "architectures": type(net).__name__})
    labels = own_labels(model) if "logits" in model.answers else ()
    return Parent(
        shapes={name: tuple(one.tensor.shape) for name, one in weights.items()},
        kinds={name: str(one.tensor.dtype) for name, one in weights.items()},
        tokenizer=getattr(inner, "tokenizer", None),
        labels=labels,
        settings=settings,
        parts=_parts(model.module),
        token_rows=_named(weights, _ends(net)),
        label_rows=() if head_names(model) else _named(weights, _last(model.module, len(labels))),
    )


def reading(model: Model) -> dict[str, str]:
    """Digests of a model's tokens and labels, as a pack says of its base."""
    return digests(parent_of(model))


def _refuse_sick(weights: Mapping[str, Weight], whose: str) -> None:
    for name, weight in weights.items():
        try:
            refuse_sick(name, weight.merged())
        except RequestError as error:
            raise RequestError(Problem(f"{whose} is damaged: {error}")) from error


def _refuse_other_buffers(base: torch.nn.Module, other: torch.nn.Module, name: str) -> None:
    """Make sure that tensors which are no weights, such as masks, are the same in both."""
    ours, theirs = dict(_buffers(base)), dict(_buffers(other))
    for each in ours.keys() & theirs.keys():
        if not torch.equal(ours[each].cpu(), theirs[each].cpu()):
            what = f"`{each}` differs between the base and {name}, and is a buffer, not a weight"
            raise RequestError(Problem(what, f"only weights can be merged; {FIX}"))


def _buffers(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Saved buffers, but for what batch norm measured."""
    state = module.state_dict()
    for name, tensor in module.named_buffers():
        if name in state and not (is_statistic(name) or is_count(name)):
            yield name, tensor


def _pretrained(module: torch.nn.Module) -> Any:
    """The transformers model within a module, or None."""
    parts = (part for part in module.modules() if hasattr(part, "get_input_embeddings"))
    return next((part for part in parts if hasattr(getattr(part, "config", None), "to_dict")), None)


def _parts(module: torch.nn.Module) -> dict[str, str]:
    """Class and settings of each layer by path, adapters and what acts in training only aside."""
    return {
        path: f"{type(part).__name__}({_OF_TOKENS.sub('', part.extra_repr())})"
        for path, part in _leaves(module)
        if not _AT_TRAINING_ONLY.search(type(part).__name__)
    }


def _leaves(module: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Layers that hold no others, by path; of one with adapters, the inner one."""
    around: str | None = None
    for path, part in module.named_modules():
        if around is not None and path.startswith(around):
            continue
        if is_adapted(part):
            around = f"{path}."
            yield path, cast("Any", part).get_base_layer()
        elif next(part.children(), None) is None:
            yield path, part


def _ends(net: Any) -> list[Any]:
    """The layers of a transformers model with a row for each token."""
    found = []
    for ask in ("get_input_embeddings", "get_output_embeddings") if net is not None else ():
        try:
            layer = getattr(net, ask)()
        except NotImplementedError:  # as some models of images say
            continue
        if layer is not None:
            found.append(layer.get_base_layer() if is_adapted(layer) else layer)
    return found


def _last(module: torch.nn.Module, labels: int) -> list[Any]:
    """The layer that gives logits, where nothing with weights comes behind it."""
    holding = [part for _, part in _leaves(module) if any(True for _ in part.parameters())]
    last = holding[-1] if holding else None
    return [last] if isinstance(last, torch.nn.Linear) and last.out_features == labels else []


def _named(weights: Mapping[str, Weight], layers: Sequence[Any]) -> tuple[str, ...]:
    """Names of the weights and biases of layers."""
    found = {id(tensor) for each in layers for tensor in each.parameters(recurse=False)}
    return tuple(name for name, weight in weights.items() if id(weight.tensor) in found)
