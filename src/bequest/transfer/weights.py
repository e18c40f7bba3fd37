"""A live model's weights by the names that its files have, and packs on them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.lazy import torch
from bequest.ops.forms import opened
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

    tensor: where a change is written; adapted: the layer whose adapters act beside it, or None.
    """

    tensor: torch.Tensor
    adapted: Any = None

    def merged(self) -> torch.Tensor:
        """What the weight amounts to, with what adapters add."""
        found = self.tensor.detach()
        for name in self.adapted.active_adapters if self.adapted else ():
            more = self.adapted.get_delta_weight(name).detach()
            found = found + more if more.any() else found  # bits stay where nothing is added
        return found

    def floats(self) -> Floats:
        """A copy in float32."""
        return self.merged().to("cpu", torch.float32, copy=True).numpy()

    def put(self, values: Floats) -> None:
        """Write other values, rounded to the weight's own type."""
        with torch.no_grad():
            self.tensor.copy_(torch.from_numpy(values).reshape(self.tensor.shape))


def weights_of(module: torch.nn.Module) -> dict[str, Weight]:
    """Every parameter and floating buffer once, by the name it has without adapters.

    What adapters hold is no weight of its own; it belongs to the one beside which it acts.
    """
    adapted = {path: each for path, each in module.named_modules() if is_adapted(each)}
    parameters, state = dict(module.named_parameters()), module.state_dict(keep_vars=True)
    buffers = {name: each for name, each in module.named_buffers() if name in state}
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
            found[f"{path}.{own}"] = Weight(tensor, adapted[path] if own == "weight" else None)
    return found


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


def changes(base: torch.nn.Module, tuned: torch.nn.Module) -> dict[str, Floats]:
    """Tuned − base in float32, of every weight that differs.

    Raises:
        RequestError: the models don't have the same weights, or the difference is not finite.
    """
    before, after = weights_of(base), weights_of(tuned)
    refuse_unlike({name: tuple(one.tensor.shape) for name, one in before.items()},
                  {name: tuple(one.tensor.shape) for name, one in after.items()})  # fmt: skip
    found = {}
    for name, weight in after.items():
        delta = weight.floats() - before[name].floats()
        if not np.isfinite(delta).all():
            raise RequestError(Problem(f"`{name}` of a donor minus the base is not finite"))
        if delta.any():
            found[name] = delta
    return found


def refuse_unlike(
    base: Mapping[str, tuple[int, ...]], tuned: Mapping[str, tuple[int, ...]]
) -> None:
    """Make sure that two models have weights of the same names and shapes.

    Raises:
        RequestError: they have not; names the first that differ.
    """
    odd = [name for name in {**base, **tuned} if base.get(name) != tuned.get(name)]
    if odd:
        told = "; ".join(
            f"`{name}` {_shown(base, name)}, {_shown(tuned, name)}" for name in odd[:3]
        )
        what = f"base and donor differ in {len(odd)} weights: {told} (base, donor)"
        fix = "packs and merges are for models fine-tuned from one and the same base"
        raise RequestError(Problem(what, fix))


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
            raise RequestError(Problem(f"the pack changes `{name}`, which the model has not so"))
    for name, change in parts.items():
        try:
            _add_to(weights[name], change)
        except DAMAGE as error:
            raise RequestError(Problem(f"the pack is damaged: {error}")) from error


def put(module: torch.nn.Module, kept: Mapping[str, Kept]) -> None:
    """Add changes that were just made, by weight."""
    weights = weights_of(module)
    for name, one in kept.items():
        _add_to(weights[name], opened(one.about, one.data))


def _add_to(weight: Weight, change: Change) -> None:
    values = weight.tensor.detach().to("cpu", torch.float32, copy=True).contiguous().numpy()
    flat = values.reshape(-1)
    for start in range(0, change.size, change.step):
        change.add(start, flat[start : start + change.step])
    weight.put(flat)


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
        fix = "take the very model that it was made from; a pack on another one means nothing"
        raise RequestError(Problem(what, fix))


_INNER = "base_layer."


def _owner(name: str, adapted: Mapping[str, Any]) -> str | None:
    parts = name.split(".")
    paths = (".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    return next((path for path in paths if path in adapted), None)


def _shown(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return str(list(shapes[name])) if name in shapes else "missing"
