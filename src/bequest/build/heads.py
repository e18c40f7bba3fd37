"""One last layer per task: models that answer differently depending on which task asks."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from bequest.build.model import Around, own_labels
from bequest.core.errors import Problem, RequestError, RunError
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from bequest.build.model import AnswersLogits
    from bequest.core.live import Model

# Far below any logit, and still a number in half precision.
NEVER = -1e4


class NotLearned(RunError, LookupError):
    """A model was asked as one for a task that it has not learned."""


@dataclass(eq=False)
class Headed(Around):
    """A model with one last layer per task; without a task it answers with the newest.

    module: holds all heads, so its `state_dict` saves and restores them.
    """

    inner: AnswersLogits
    module: torch.nn.Module
    labels: tuple[str, ...]
    answers: Collection[str] = frozenset({"logits"})

    @property
    def heads(self) -> tuple[str, ...]:
        """The tasks that have a head, oldest first."""
        return tuple(_bank(self.module).names)

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """One unnormalised score per label for inputs [batch, …]: [batch, labels]."""
        return self.inner.logits(inputs)

    def for_task(self, name: str) -> OneHead:
        """The same model, answering with the head of the task `name`.

        Raises:
            NotLearned: the task has no head.
        """
        if name not in self.heads:
            raise NotLearned(f"the model has no head for `{name}`: it was not learned yet")
        return OneHead(self, name)

    def each(self, names: Sequence[str], inputs: torch.Tensor) -> torch.Tensor:
        """The logits of several heads, in one pass: [names, batch, labels].

        Raises:
            NotLearned: one of the tasks has no head.
        """
        for name in names:
            self.for_task(name)
        with _bank(self.module).using(*names):
            return self.inner.logits(inputs).reshape(len(names), -1, len(self.labels))

    def new_head(self) -> torch.nn.Module:
        """An untrained last layer; its weights are drawn from torch's global generator."""
        head: torch.nn.Linear = _bank(self.module).empty_head()
        head.reset_parameters()
        return head

    def add(self, name: str, head: torch.nn.Module, occurring: Collection[str]) -> None:
        """Give the task `name` a head; labels that never occur in it get the logit `NEVER`."""
        occurs = [label in occurring for label in own_labels(self.inner)]
        _bank(self.module).add(name, head, torch.tensor(occurs))


@dataclass(eq=False)
class OneHead:
    """A model with several heads, asked through one of them; it shares its module."""

    model: Headed
    task: str

    @property
    def module(self) -> torch.nn.Module:
        """Everything, the other heads included."""
        return self.model.module

    @property
    def answers(self) -> Collection[str]:
        """The protocols it has a method for."""
        return self.model.answers

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its logits."""
        return self.model.labels

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """One unnormalised score per label for inputs [batch, …]: [batch, labels]."""
        with _bank(self.module).using(self.task):
            return self.model.logits(inputs)


def headed(model: Model) -> Model:
    """The model itself, or a view of it with `for_task` where its module has heads."""
    if isinstance(model, Headed) or _find_bank(model.module) is None:
        return model
    return Headed(cast("AnswersLogits", model), model.module, tuple(model.labels))


def one_head_per_task(model: Model) -> Headed:
    """The model with its last linear layer taken out for heads to be added; changes its module.

    A model that has heads keeps them.

    Raises:
        RequestError: no linear layer gives its logits.
    """
    if _find_bank(model.module) is None:
        _install_bank(model)
    return cast("Headed", headed(model))


def head_names(model: Model) -> tuple[str, ...]:
    """The tasks that a model has heads for; none where it has one last layer for all."""
    bank = _find_bank(model.module)
    return tuple(bank.names) if bank is not None else ()


def with_heads(model: Model, names: Sequence[str]) -> Model:
    """A model built anew with room for the heads `names`, as `head_names` told them.

    Their weights are to be loaded into it. Without names it stays as it is.
    """
    if not names:
        return model
    grown = one_head_per_task(model)
    for name in names:
        grown.add(name, _bank(model.module).empty_head(), model.labels)
    return grown


def bank_path(module: torch.nn.Module) -> str:
    """Where in a module its heads are; empty where it has one last layer for all."""
    kind = _bank_class()
    return next((path for path, part in module.named_modules() if isinstance(part, kind)), "")


@contextmanager
def as_one(module: torch.nn.Module, task: str = "") -> Iterator[None]:
    """The module with the plain last layer of one task, the newest, where its heads stand."""
    path = bank_path(module)
    if not path:
        yield
        return
    bank = _bank(module)
    parent, _, name = path.rpartition(".")
    place = module.get_submodule(parent)
    setattr(place, name, bank.plain(task or bank.names[-1]))
    try:
        yield
    finally:
        setattr(place, name, bank)


def _install_bank(model: Model) -> None:
    paths = [
        path for path, part in model.module.named_modules() if isinstance(part, torch.nn.Linear)
    ]
    last = model.module.get_submodule(paths[-1]) if paths else None
    if last is None or paths[-1] == "" or last.out_features != len(own_labels(model)):
        raise RequestError(_no_last_layer(len(own_labels(model))))
    parent, _, name = paths[-1].rpartition(".")
    setattr(model.module.get_submodule(parent), name, _bank_class()(last))


def _no_last_layer(labels: int) -> Problem:
    return Problem(
        "the model can't have one head per task: its last linear layer does not give "
        f"its {labels} logits",
        "write `heads: shared`, or end the module with a torch.nn.Linear inside it",
    )


def _find_bank(module: torch.nn.Module) -> Any:
    return next((part for part in module.modules() if isinstance(part, _bank_class())), None)


def _bank(module: torch.nn.Module) -> Any:
    bank = _find_bank(module)
    if bank is None:
        raise RunError("the model lost its heads")
    return bank


# Subclassing a module reads an attribute of torch, so the class is made on first use.
@cache
def _bank_class() -> Any:
    class HeadBank(torch.nn.Module):
        """Stands where the last layer stood: features [batch, width] to [batch, labels]."""

        def __init__(self, like: torch.nn.Linear) -> None:
            super().__init__()
            self.width, self.labels = like.in_features, like.out_features
            self.bias = like.bias is not None
            self.placed = {"device": like.weight.device, "dtype": like.weight.dtype}
            self.heads = torch.nn.ModuleDict()
            self.names: list[str] = []
            self.chosen: tuple[str, ...] = ()

        def empty_head(self) -> torch.nn.Module:
            size = {"in_features": self.width, "out_features": self.labels, "bias": self.bias}
            skip_init: Any = torch.nn.utils.skip_init  # draws no random numbers
            head: torch.nn.Module = skip_init(torch.nn.Linear, **size, **self.placed)
            return head

        def add(self, name: str, head: torch.nn.Module, occurs: torch.Tensor) -> None:
            # A module refuses names that are its own attributes; with a prefix none can be.
            self.heads[f"for-{name}"] = head
            self.register_buffer(f"absent-{name}", ~occurs.to(next(head.parameters()).device))
            self.names.append(name)
            self.chosen = (name,)

        def plain(self, name: str) -> Any:
            """A layer of its own that gives the same logits; without biases nothing is masked."""
            layer: Any = copy.deepcopy(self.heads[f"for-{name}"])
            if self.bias:
                with torch.no_grad():
                    layer.weight[getattr(self, f"absent-{name}")] = 0
                    layer.bias[getattr(self, f"absent-{name}")] = NEVER
            return layer

        @contextmanager
        def using(self, *names: str) -> Iterator[None]:
            before, self.chosen = self.chosen, names
            try:
                yield
            finally:
                self.chosen = before

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            # Several answers stand one after another along the batch, so that whatever picks or
            # orders labels behind this layer works as it does on one.
            return torch.cat([self.answer(name, features) for name in self.chosen])

        def answer(self, name: str, features: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.heads[f"for-{name}"](features)
            return logits.masked_fill(getattr(self, f"absent-{name}"), NEVER)

    return HeadBank
