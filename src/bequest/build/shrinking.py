"""Transformers made smaller: some layers, and the leading part of every matrix."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from bequest.core.errors import Problem, RequestError
from bequest.lazy import torch

if TYPE_CHECKING:
    from bequest.core.live import Model

_LAYER = re.compile(r"^(.*?\blayers?\.|.*?\bh\.)(\d+)(\..*)$")
_FUSED = re.compile(r"\b(qkv_proj|query_key_value|c_attn|Wqkv|gate_up_proj)\b")
_WIDTHS = ("hidden_size", "intermediate_size", "num_attention_heads")


def config_of(net: Any, name: str) -> Any:
    """The configuration of a transformer.

    Raises:
        RequestError: it has none that names its layers.
    """
    config = getattr(net, "config", None)
    if getattr(config, "num_hidden_layers", None) is None:
        what = f"`{name}` is no transformer whose layers are known"
        raise RequestError(Problem(what, "name a pretrained model of texts", ("of", "use")))
    return config


def shrunk(net: Any, layers: list[int], width: int | None) -> torch.nn.Module:
    """A new network of the same kind from the `layers` of `net`, at `width` if it is given.

    Raises:
        RequestError: there are no such layers, or that width can't be had.
    """
    depth = net.config.num_hidden_layers
    if layers[-1] >= depth:
        what = f"the model has {depth} layers, so there is no layer {layers[-1]}"
        raise RequestError(Problem(what, "name fewer", ("layers",)))
    small = type(net)(_config(net.config, layers, width))
    theirs = net.state_dict()
    if width is not None and (fused := next(filter(_FUSED.search, theirs), None)):
        what = f"`{fused}` holds several matrices, one after another, so none of them can be cut"
        raise RequestError(Problem(what, "leave the width out", ("width",)))
    with torch.no_grad():
        for name, tensor in small.state_dict().items():
            tensor.copy_(_leading(theirs[_renamed(name, layers)], tensor.shape))
    small.tie_weights()
    return cast("torch.nn.Module", small.eval())


def with_module(model: Model, module: torch.nn.Module) -> Model:
    """The model around another network of the same kind."""
    return cast("Model", replace(cast("Any", model), module=module))


def _config(config: Any, layers: list[int], width: int | None) -> Any:
    small = copy.deepcopy(config)
    small.num_hidden_layers = len(layers)
    kinds = getattr(small, "layer_types", None)
    if kinds:
        small.layer_types = [kinds[layer] for layer in layers]
    if width is not None:
        _narrow(small, width)
    return small


def _narrow(config: Any, width: int) -> None:
    if lacking := [name for name in _WIDTHS if not hasattr(config, name)]:
        what = f"the model's configuration has no `{lacking[0]}` that a width could be had from"
        raise RequestError(Problem(what, "leave the width out", ("width",)))
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    shared = config.num_attention_heads // groups  # heads that share keys and values
    if width % (head * shared) or width > config.hidden_size:
        what = f"a width of {width} can't be had from {config.hidden_size}"
        fix = f"give a multiple of {head * shared} below it"
        raise RequestError(Problem(what, fix, ("width",)))
    config.intermediate_size = config.intermediate_size * width // config.hidden_size
    config.hidden_size, config.num_attention_heads = width, width // head
    if getattr(config, "num_key_value_heads", None):
        config.num_key_value_heads = width // head // shared
    if hasattr(config, "head_dim"):
        config.head_dim = head


def _renamed(name: str, layers: list[int]) -> str:
    """What a tensor of the small network is called in the large one."""
    found = _LAYER.match(name)
    return f"{found[1]}{layers[int(found[2])]}{found[3]}" if found else name


def _leading(tensor: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return tensor[tuple(slice(size) for size in shape)]
