"""Delivered adapters as peft's own folders, to be put on the model they were trained on."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from bequest.build.ordinary import core, transformer_in, write_beside
from bequest.build.vision import heads_of
from bequest.core.errors import StoreError
from bequest.lazy import peft, safetensors_torch, torch
from bequest.store.tensors import digest

if TYPE_CHECKING:
    from pathlib import Path

    from bequest.core.live import Model

WEIGHTS = "adapter_model.safetensors"
_BEFORE = "base_model.model."  # peft's names begin so
_OWN, _NAME = ("lora_A", "lora_B"), "default"


def layers_in(module: torch.nn.Module) -> dict[str, Any]:
    """The layers that have an adapter, by their path."""
    kind = peft.tuners.tuners_utils.BaseTunerLayer
    return {path: part for path, part in module.named_modules() if isinstance(part, kind)}


def has_adapters(module: torch.nn.Module) -> bool:
    """Whether a layer of the module has one."""
    return transformer_in(module) is not None and bool(layers_in(module))


def write_adapters(folder: Path, model: Model, base: str, shape: tuple[int, ...]) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`, and the tokenizer beside.

    base: the folder or hub id of the model that they belong on. shape: of one input. A head that
    trains goes along.
    """
    live = core(model)
    net = transformer_in(live.module)
    layers, heads = layers_in(net), _trained_heads(net)
    first = next(iter(layers.values()))
    config = peft.LoraConfig(
        r=first.r[_NAME],
        lora_alpha=first.lora_alpha[_NAME],
        lora_dropout=getattr(first.lora_dropout[_NAME], "p", 0.0),
        target_modules=sorted(layers),
        modules_to_save=heads or None,
        base_model_name_or_path=base,
        task_type="CAUSAL_LM" if "logprob" in live.answers else None,
        inference_mode=True,
    )
    config.save_pretrained(folder)
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in _kept(net).items()}
    safetensors_torch.save_file(held, folder / WEIGHTS, {"format": "pt"})
    write_beside(folder, model, net, shape)


def read_adapters(folder: Path, module: torch.nn.Module) -> str:
    """Fill the adapters of a module, and its head where that was kept; gives `base_digest`.

    Raises:
        StoreError: the folder holds those of another module.
    """
    net = transformer_in(module)
    places = {_outside(name): tensor for name, tensor in net.state_dict().items()}
    held = safetensors_torch.load_file(folder / WEIGHTS)
    wanted = {_outside(name) for name in net.state_dict() if _is_adapter(name)}
    odd = sorted((held.keys() - places.keys()) | (wanted - held.keys()))
    odd = odd or [name for name in held if held[name].shape != places[name].shape]
    if odd:
        what = f"{folder / WEIGHTS} is another model's"
        raise StoreError(f"{what}: it differs in {', '.join(odd[:5])}")
    with torch.no_grad():
        for name, tensor in held.items():
            places[name].copy_(tensor)
    return digest({name: places[name] for name in sorted(places.keys() - held.keys())})


def base_digest(module: torch.nn.Module) -> str:
    """A digest of the weights below the adapters, which the file of adapters doesn't hold."""
    base = _base(transformer_in(module))
    return digest({name: base[name] for name in sorted(base)})


def same_base(module: torch.nn.Module, given: torch.nn.Module) -> bool:
    """Whether the weights below the adapters are those of a model that was built alike."""
    before = {_outside(name): each for name, each in transformer_in(given).state_dict().items()}
    base = _base(transformer_in(module))
    return all(name in before and torch.equal(base[name], before[name]) for name in base)


def merged(model: Model, *, into: bool = True) -> Model:
    """A copy of the model with its adapters added to the weights; or left out, `into` false."""
    whole = copy.deepcopy(model)
    for path, layer in layers_in(whole.module).items():
        if into:
            layer.merge()
        parent, _, name = path.rpartition(".")
        setattr(whole.module.get_submodule(parent), name, layer.get_base_layer())
    return whole


def _kept(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What goes into the file of adapters, by peft's names."""
    heads = tuple(f"{head}." for head in _trained_heads(net))
    return {_outside(name): tensor for name, tensor in net.state_dict().items()
            if _is_adapter(name) or name.startswith(heads)}  # fmt: skip


def _base(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    held = {_outside(name): tensor for name, tensor in net.state_dict().items()}
    return {name: held[name] for name in held.keys() - _kept(net).keys()}


def _is_adapter(name: str) -> bool:
    return any(f".{part}.{_NAME}." in name for part in _OWN)


def _trained_heads(net: torch.nn.Module) -> list[str]:
    """Heads that train as a whole, by their path; those with adapters inside are none."""
    found = [(head, net.get_submodule(head)) for head in heads_of(net)]
    return [
        head
        for head, part in found
        if not layers_in(part) and any(weight.requires_grad for weight in part.parameters())
    ]


def _outside(name: str) -> str:
    """A weight's name as peft writes it."""
    return _BEFORE + name.replace(f".{_NAME}.", ".")
