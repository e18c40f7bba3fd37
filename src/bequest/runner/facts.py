"""What must be known of a model before the work starts, found in one look at it.

Models may be large and slow to build: they are built once, looked at, and let go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bequest.build.classification import device_of
from bequest.build.encoder import width_of
from bequest.build.heads import head_names, one_head_per_task
from bequest.core.errors import Problem, RequestError
from bequest.lazy import torch
from bequest.runner.models import parameter_cost
from bequest.transfer.lining_up import parent_of
from bequest.transfer.state import normalises_batches

if TYPE_CHECKING:
    from bequest.core.live import Model
    from bequest.transfer.parents import Parent

# Measured on two cores with MLPs and CNNs: below this a second thread makes a training step slower
# (by 2.8 times for the smallest), above it faster.
WORTH_SHARING = 1e8


@dataclass(frozen=True)
class Facts:
    """Of a model as the recipe gives it.

    bytes: of all it holds; work: floating-point operations of a forward pass over a batch;
    heads: names of the tasks it has heads for; no_heads: why it can't have one head per task.
    width: numbers in the vectors it gives, if it does; compared: how many of them, the first, are
        compared with an older model's; learns: of how many it learns to match, where that is fixed.
    needs_two: whether it can't be trained on a batch of one sample, as batch norm then has a single
        value for a channel.
    parent: what it is lined up with others by, or why that can't be.
    notes: what a user should know of how it was read.
    """

    bytes: int
    work: float
    heads: frozenset[str]
    no_heads: tuple[Problem, ...]
    width: int | None = None
    compared: int | None = None
    needs_two: bool = False
    parent: Parent | tuple[Problem, ...] = ()
    learns: int | None = None
    notes: tuple[str, ...] = ()


def look_at(
    model: Model, shape: tuple[int, ...], *, searched: bool = False, merged: bool = False
) -> Facts:
    """The facts of a model, which is changed by looking and not to be used afterwards.

    shape: of a batch of inputs; searched: whether a task asks for vectors, so that their length
    matters; merged: whether a step merges models or makes packs, so that they must be alike.
    """
    size, work = int(parameter_cost(model)["bytes"]), work_of(model, shape)
    width = width_of(model, shape[1:]) if searched and "embed" in model.answers else None
    heads, compared = frozenset(head_names(model)), getattr(model, "compared", width)
    parent = _parent(model) if merged else ()  # before batch norm is tried, which changes it
    needs_two = _needs_two(model.module, shape[1:])
    return Facts(
        bytes=size,
        work=work,
        heads=heads,
        no_heads=tuple(_no_heads(model)),
        width=width,
        compared=compared,
        needs_two=needs_two,
        parent=parent,
        learns=getattr(getattr(model, "sizes", None), "width", None),
        notes=_notes(model),
    )


def _notes(model: Any) -> tuple[str, ...]:
    """Those of the model, or of the one inside it."""
    inner = getattr(model, "inner", None)
    return tuple(getattr(model, "notes", ())) or (() if inner is None else _notes(inner))


def work_of(model: Model, shape: tuple[int, ...]) -> float:
    """Floating-point operations of a forward pass over a batch of inputs of `shape`.

    Where the weights alone say that it is much, or it can't be tried, each is counted as used once
    a sample.
    """
    from torch.utils.flop_counter import FlopCounterMode

    least = 2.0 * shape[0] * sum(weight.numel() for weight in model.module.parameters())
    if least >= WORTH_SHARING:
        return least
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.module(torch.zeros(shape))
    except Exception:  # noqa: BLE001 — a module of the user's own may want other inputs
        return least
    return float(counter.get_total_flops())


def _needs_two(module: torch.nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether a module with batch norm refuses to be trained on one sample.

    Some can be: a channel of a picture has many values where the norm stands before the pooling.
    """
    if not normalises_batches(module):
        return False
    module.train()
    try:
        with torch.no_grad():
            module(torch.zeros(1, *shape, device=device_of(module)))
    except ValueError:
        return True
    except Exception:  # noqa: BLE001 — a module of the user's own may want other inputs
        return False
    return False


def _parent(model: Model) -> Parent | tuple[Problem, ...]:
    try:
        return parent_of(model)
    except RequestError as error:
        return tuple(error.problems)


def _no_heads(model: Model) -> list[Problem]:
    if "predict" in model.answers:
        what = "a model that predicts a number can't have one head per task"
        return [Problem(what, "write `heads: shared`")]
    if "logits" not in model.answers:
        return []
    try:
        one_head_per_task(model)
    except RequestError as error:
        return error.problems
    return []
