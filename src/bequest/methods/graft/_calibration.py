"""What the layers of a network are given, layer after layer, while those before them change.

Blocks that stand in a list, as in every transformer, are gone through one by one: their inputs are
kept, so that the whole costs a few passes and not one for every layer. Any other network is one
block.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bequest.build.batches import by_length
from bequest.core.live import Texts
from bequest.lazy import torch
from bequest.ops.gptq import SecondMoments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Rounded = Callable[[list[str], SecondMoments, int], None]

_AT_ONCE = 256


class _Stop(Exception):
    """No error: what the first block is given is known."""


def calibrate(
    model: Any,
    inputs: Sequence[Any],
    layers: Mapping[str, Any],
    rounded: Rounded,
    *,
    turns: int = 1,
    own_outputs: bool = False,
) -> None:
    """Call `rounded` for every set of layers that share an input, with that input's moments.

    model: whose layers change meanwhile; later ones see what earlier ones have become.
    inputs: several of the model's, each [n, …] or texts; layers: by path, in order.
    rounded: given the paths of a set, the moments, and the turn; changes the layers' weights.
    turns: how often each block is gone through; own_outputs: whether the inputs of each turn but
        the first are the block's outputs of the turn before, as the released code has it.
    """
    model.module.eval()
    with torch.no_grad():
        blocks, batches = _blocks(model, inputs, layers)
        for block in blocks:
            inside = {path: each for path, each in layers.items() if block.holds(path)}
            sets = _sets(block, batches, inside) if inside else []
            for turn in range(turns):
                for paths in sets:
                    moments = _moments(block, batches, {path: inside[path] for path in paths})
                    rounded(paths, moments, turn)
                if own_outputs or turn == turns - 1:
                    batches = [block.after(batch) for batch in batches]


class _Whole:
    """A network as one block; what it gives goes nowhere."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def holds(self, path: str) -> bool:
        return bool(path)

    def run(self, batch: _Batch) -> None:
        _ask(self._model, batch.inputs)

    def after(self, batch: _Batch) -> _Batch:
        return batch


class _Block:
    """One of a list of blocks, each given what the one before gives."""

    def __init__(self, path: str, module: Any) -> None:
        self._path, self._module = path, module

    def holds(self, path: str) -> bool:
        return path.startswith(f"{self._path}.")

    def run(self, batch: _Batch) -> Any:
        return self._module(*batch.given, **batch.named)

    def after(self, batch: _Batch) -> _Batch:
        found = self.run(batch)
        hidden = found[0] if isinstance(found, tuple) else found
        return _Batch(batch.inputs, (hidden, *batch.given[1:]), batch.named, batch.mask)


class _Batch:
    """Some inputs, and what a block is given of them; mask: where tokens are, or None."""

    def __init__(
        self,
        inputs: Any,
        given: tuple[Any, ...] = (),
        named: Mapping[str, Any] | None = None,
        mask: Any = None,
    ) -> None:
        self.inputs, self.given, self.named, self.mask = inputs, given, dict(named or {}), mask


def _blocks(
    model: Any, inputs: Any, layers: Mapping[str, Any]
) -> tuple[Sequence[Any], list[_Batch]]:
    parts = list(_parts(inputs))
    path, found = _list_of_blocks(model.module, layers)
    if found is not None:
        caught = [_caught(model, found[0], part) for part in parts]
        if all(batch.given for batch in caught):
            return [_Block(f"{path}.{number}", each) for number, each in enumerate(found)], caught
    return [_Whole(model)], [_Batch(part, mask=_mask(model, part)) for part in parts]


def _parts(inputs: Sequence[Any]) -> Iterator[Any]:
    for each in inputs:
        if isinstance(each, Texts):
            yield from (each[rows] for rows in by_length(each))
        else:
            yield from torch.split(each, _AT_ONCE)


def _list_of_blocks(module: torch.nn.Module, layers: Mapping[str, Any]) -> tuple[str, Any]:
    for path, each in module.named_modules():
        inside = all(name.startswith(f"{path}.") for name in layers)
        if isinstance(each, torch.nn.ModuleList) and len(each) and inside:
            return path, each
    return "", None


def _caught(model: Any, first: torch.nn.Module, inputs: Any) -> _Batch:
    """What the first block is given when the model is asked."""
    found: list[_Batch] = []

    def catch(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        found.append(_Batch(inputs, given, named, _mask(model, inputs)))
        raise _Stop

    hook = first.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        _ask(model, inputs)
    except _Stop:
        pass
    finally:
        hook.remove()
    return found[0] if found else _Batch(inputs)


def _ask(model: Any, inputs: Any) -> None:
    if hasattr(model, "states"):
        model.states(model.encoded(inputs))  # not the scores of a whole vocabulary
    elif "logits" in model.answers:
        model.logits(inputs)
    else:
        model.logprob(inputs)


def _mask(model: Any, inputs: Any) -> Any:
    return model.encoded(inputs).mask.bool() if hasattr(model, "encoded") else None


def _sets(block: Any, batches: Sequence[_Batch], layers: Mapping[str, Any]) -> list[list[str]]:
    """Paths of layers in the order in which they are asked; together those given one tensor."""
    seen: list[tuple[str, Any]] = []
    with _hooked(layers, lambda path, given: seen.append((path, given))):  # fmt: skip
        block.run(batches[0])
    sets: list[list[str]] = []
    last = None
    for path, given in seen:
        if last is not None and given is last:
            sets[-1].append(path)
        elif not any(path in paths for paths in sets):
            sets.append([path])
        last = given
    return sets


def _moments(block: Any, batches: Sequence[_Batch], layers: Mapping[str, Any]) -> SecondMoments:
    """Of what the first of these layers is given, as the others are, over all batches."""
    path, layer = next(iter(layers.items()))
    found: SecondMoments | None = None

    def take(path: str, given: torch.Tensor) -> None:
        nonlocal found
        if found is None:
            found = SecondMoments(given.shape[-1])
        rows = given.flatten(0, -2) if batch.mask is None else given[batch.mask]
        rows = rows.double()
        found.add((rows.T @ rows).cpu().numpy(), len(given))

    with _hooked({path: layer}, take):
        for batch in batches:
            block.run(batch)
    assert found is not None  # noqa: S101 - the layer was asked when sets were found
    return found


@contextmanager
def _hooked(layers: Mapping[str, Any], take: Callable[[str, Any], None]) -> Iterator[None]:
    hooks = [
        each.register_forward_pre_hook(lambda module, given, path=path: take(path, given[0]))
        for path, each in layers.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
