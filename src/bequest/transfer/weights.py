"""A live model's weights by the names that its files have, and packs on them."""

from __future__ import annotations

import copy
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.lazy import torch
from bequest.ops.forms import opened
from bequest.ops.statistics import is_variance
from bequest.store.fingerprints import of_model, of_tensor
from bequest.store.tensor_file import as_bytes, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from bequest.core.pack import Pack
    from bequest.ops.forms import Change
    from bequest.ops.layout import Kept

    Floats = NDArray[np.float32]

# What reading a pack that lies may raise.
DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class Weight:
    """One weight of a model.

    tensor: where a change is written; adapted: the layer whose adapters act beside it, or None;
    own: what the layer calls it; rows: which of its rows stands in each place when it is read.
    """

    tensor: torch.Tensor
    adapted: Any = None
    own: str = "weight"
    rows: NDArray[np.int64] | None = None

    @property
    def learned(self) -> bool:
        """Whether it is a parameter, and no buffer such as a statistic."""
        return isinstance(self.tensor, torch.nn.Parameter)

    def merged(self) -> torch.Tensor:
        """What the weight amounts to, with what adapters add."""
        found = self.tensor.detach()
        for name in _active(self.adapted):
            if not _is_plain(self.adapted, name):
                return _merged_by_peft(self.adapted, self.own)
            if self.own == "weight":
                more = self.adapted.get_delta_weight(name).detach()
                found = found + more if more.any() else found  # bits stay where nothing is added
        return found

    def floats(self) -> Floats:
        """A copy in float32, in the order of `rows`."""
        found: Floats = self.merged().to("cpu", torch.float32, copy=True).numpy()
        return found if self.rows is None else found[self.rows]

    def become(self, values: Floats) -> None:
        """Change it so that it amounts to other values, with what adapters add.

        Raises:
            RequestError: what adapters add depends on the weight, as in DoRA.
        """
        more = self.merged() - self.tensor.detach()
        if more.any():
            if not all(_is_plain(self.adapted, name) for name in _active(self.adapted)):
                what = "the base has adapters that are not plain LoRA, and they have learned"
                raise RequestError(Problem(what, "merge them into their model first"))
            values = values - more.to("cpu", torch.float32).numpy()
        self.put(values)

    def put(self, values: Floats) -> None:
        """Write other values of the weight alone, rounded to its own type."""
        with torch.no_grad():
            self.tensor.copy_(torch.from_numpy(values).reshape(self.tensor.shape))


def weights_of(module: torch.nn.Module) -> dict[str, Weight]:
    """Every parameter and floating buffer once, by the name it has without adapters.

    What adapters hold is no weight of its own; it belongs to the one beside which it acts.

    Raises:
        RequestError: adapters change one use of a weight that is used twice.
    """
    adapted = {path: each for path, each in module.named_modules() if is_adapted(each)}
    parameters, state = dict(module.named_parameters()), module.state_dict(keep_vars=True)
    buffers = {name: each for name, each in module.named_buffers() if name in state}
    _refuse_shared(adapted, state)
    found = {}
    for name, tensor in {**parameters, **buffers}.items():
        if not tensor.is_floating_point():
            continue
        path = _owner(name, adapted)
        if path is None:
            found[name] = Weight(tensor)
            continue
        inner = name.removeprefix(f"{path}.")
        if inner.startswith(_INNER):
            own = inner.removeprefix(_INNER)
            found[f"{path}.{own}"] = Weight(tensor, adapted[path], own)
    return found


def _active(layer: Any) -> list[str]:
    """The adapters that act beside a layer and are not in its weight already."""
    if layer is None or layer.disable_adapters:
        return []
    return [name for name in layer.active_adapters if name not in layer.merged_adapters]


def _is_plain(layer: Any, name: str) -> bool:
    """Whether an adapter adds a product of two matrices to the weight, and nothing else."""
    told = (getattr(layer, kind, {}).get(name) for kind in ("lora_variant", "lora_bias"))
    return not any(told)


def _merged_by_peft(layer: Any, own: str) -> torch.Tensor:
    """What a layer's weight becomes when peft merges its adapters, such as DoRA's."""
    twin = copy.deepcopy(layer)
    try:
        twin.merge()
    except RuntimeError as error:
        what = f"adapters can't be merged into their layer: {error}"
        raise RequestError(Problem(what)) from error
    found: torch.Tensor = twin.get_base_layer().get_parameter(own).detach()
    return found


def _refuse_shared(adapted: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> None:
    """Make sure that no adapter acts on one of several uses of a weight."""
    uses: dict[int, list[str]] = {}
    for name, tensor in state.items():
        uses.setdefault(id(tensor), []).append(name)
    for path, layer in adapted.items():
        names = uses.get(id(getattr(layer.base_layer, "weight", None)), [])
        if len(names) > 1:
            other = next(name for name in names if not name.startswith(f"{path}."))
            what = f"adapters change `{path}`, whose weight is also used as `{other}`"
            fix = (
                "the change of one use can't be written into a shared weight: give the adapters "
                "other `targets`, or untie the weights (`tie_word_embeddings: false`)"
            )
            raise RequestError(Problem(what, fix))


def is_adapted(module: torch.nn.Module) -> bool:
    """Whether a layer is one of peft's around another one."""
    return hasattr(module, "get_delta_weight") and hasattr(module, "base_layer")


def fingerprint_of(module: torch.nn.Module) -> str:
    """Which weights the model has; equal to that of its files."""
    return of_model(
        {
            name: of_tensor(name, kind_of(own.dtype), own.shape, [as_bytes(own)])
            for name, own in ((name, one.merged()) for name, one in weights_of(module).items())
        }
    )


def changes(base: Mapping[str, Weight], tuned: Mapping[str, Weight]) -> dict[str, Floats]:
    """Tuned − base in float32, of every weight that differs; both as `line_up` gives them.

    Raises:
        RequestError: the difference is not finite.
    """
    found = {}
    for name, weight in tuned.items():
        delta = weight.floats() - base[name].floats()
        if not np.isfinite(delta).all():
            raise RequestError(Problem(f"`{name}` of a donor minus the base is not finite"))
        if delta.any():
            found[name] = delta
    return found


def refuse_sick(name: str, values: Any) -> None:
    """Make sure that a weight can be delivered: finite, and no variance below zero.

    values: of the weight, a tensor or an array; its smallest and its largest say it all.

    Raises:
        RequestError: it can't.
    """
    found = values.detach().float() if hasattr(values, "detach") else values
    if not math.prod(found.shape):
        return
    low, high = float(found.min()), float(found.max())  # of NaN and others both are NaN
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RequestError(Problem(f"`{name}` has numbers that are not finite"))
    if is_variance(name) and low < 0:
        what = f"`{name}` has a variance of {low:g}; a variance must not be negative"
        raise RequestError(Problem(what, "what batch norm measured can't be subtracted"))


def graft(module: torch.nn.Module, pack: Pack) -> None:
    """Put a pack on a model: each weight plus its change in float32, rounded once.

    Raises:
        RequestError: the pack belongs to another base, or does not fit.
    """
    refuse_other_base(pack, fingerprint_of(module))
    add(module, pack)


@contextmanager
def grafted(module: torch.nn.Module, pack: Pack) -> Iterator[None]:
    """The model with the pack on it, inside; afterwards it is what it was, bit for bit.

    Raises:
        RequestError: as for `graft`.
    """
    weights = weights_of(module)
    kept = {name: weights[name].tensor.detach().clone() for name in pack.tensors if name in weights}
    try:
        graft(module, pack)
        yield
    finally:
        with torch.no_grad():
            for name, before in kept.items():
                weights[name].tensor.copy_(before)


def add(module: torch.nn.Module, pack: Pack) -> None:
    """Add what a pack holds, whatever the model is; several packs sum up.

    Raises:
        RequestError: it does not fit, or is damaged.
    """
    weights = weights_of(module)
    parts = opened_parts(pack)
    for name in parts:
        shape = tuple(pack.about["parts"][name]["shape"])
        if name not in weights or tuple(weights[name].tensor.shape) != shape:
            what = f"the model has no weight `{name}` of shape {list(shape)}"
            raise RequestError(Problem(what, "a pack fits the very model it was made from"))
    for name, change in parts.items():
        try:
            _add_to(name, weights[name], change)
        except DAMAGE as error:
            raise RequestError(Problem(f"the pack is damaged: {error}")) from error


def put(module: torch.nn.Module, kept: Mapping[str, Kept]) -> None:
    """Add changes that were just made, by weight."""
    weights = weights_of(module)
    for name, one in kept.items():
        _add_to(name, weights[name], opened(one.about, one.data))


def _add_to(name: str, weight: Weight, change: Change) -> None:
    values = weight.tensor.detach().to("cpu", torch.float32, copy=True).contiguous().numpy()
    flat = values.reshape(-1)
    for start in range(0, change.size, change.step):
        change.add(start, flat[start : start + change.step])
    weight.put(flat)
    refuse_sick(name, weight.tensor)


def opened_parts(pack: Pack) -> dict[str, Change]:
    """The changes of a pack of kind `skill`, by weight, checked.

    Raises:
        RequestError: it is of another kind, or says what cannot be.
    """
    if pack.kind != "skill":
        raise RequestError(Problem(f"this is a pack of kind `{pack.kind}`, not a `skill`"))
    try:
        parts = pack.about["parts"]
        if set(parts) != set(pack.tensors):
            raise ValueError("facts and tensors don't have the same names")
        return {name: opened(parts[name], pack.tensors[name]) for name in parts}
    except DAMAGE as error:
        raise RequestError(Problem(f"the pack is damaged: {error}")) from error


def refuse_other_base(pack: Pack, found: str) -> None:
    """Make sure that a pack belongs to a base of this fingerprint.

    Raises:
        RequestError: it does not.
    """
    if pack.base and pack.base != found:
        what = f"the pack belongs to the base {pack.base}, and this is {found}"
        fix = "apply it to the very model that it was made from"
        raise RequestError(Problem(what, fix))


_INNER = "base_layer."


def _owner(name: str, adapted: Mapping[str, Any]) -> str | None:
    parts = name.split(".")
    paths = (".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    return next((path for path in paths if path in adapted), None)
