"""What must be known of a model before the work starts, found in one look at it.

Models may be large and slow to build: they are built once, looked at, and let go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bequest.build.encoder import width_of
from bequest.build.heads import head_names, one_head_per_task
from bequest.core.errors import RequestError
from bequest.lazy import torch
from bequest.runner.models import parameter_cost

if TYPE_CHECKING:
    from bequest.core.errors import Problem
    from bequest.core.live import Model

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
    notes: what a user should know of how it was read.
    """

    bytes: int
    work: float
    heads: frozenset[str]
    no_heads: tuple[Problem, ...]
    width: int | None = None
    compared: int | None = None
    learns: int | None = None
    notes: tuple[str, ...] = ()


def look_at(model: Model, shape: tuple[int, ...], *, searched: bool = False) -> Facts:
    """The facts of a model, which is changed by looking and not to be used afterwards.

    shape: of a batch of inputs; searched: whether a task asks for vectors, so that their length
    matters.
    """
    size, work = int(parameter_cost(model)["bytes"]), work_of(model, shape)
    width = width_of(model, shape[1:]) if searched and "embed" in model.answers else None
    heads, compared = frozenset(head_names(model)), getattr(model, "compared", width)
    learns = getattr(getattr(model, "sizes", None), "width", None)
    wrong = tuple(_no_heads(model))
    return Facts(size, work, heads, wrong, width, compared, learns, _notes(model))


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


def _no_heads(model: Model) -> list[Problem]:
    if "logits" not in model.answers:
        return []
    try:
        one_head_per_task(model)
    except RequestError as error:
        return error.problems
    return []
