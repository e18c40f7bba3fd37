"""A live classifier, and models lined up with a label space by the names of its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import torch

    from bequest.core.live import Model

_SHOWN = 8


class AnswersLogits(Protocol):
    """A `Model` that can be asked for logits."""

    module: torch.nn.Module
    answers: Collection[str]
    labels: tuple[str, ...]

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """One unnormalised score per label for inputs [batch, …]: [batch, labels]."""
        ...


@dataclass(eq=False)
class Classifier:
    """A module that returns logits, with the names of what they stand for.

    module: maps inputs [batch, …] to logits [batch, labels].
    labels: one name per logit, in the order of the logits.
    """

    module: torch.nn.Module
    labels: tuple[str, ...]
    answers: Collection[str] = frozenset({"logits"})

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """One unnormalised score per label for inputs [batch, …]: [batch, labels]."""
        return cast("torch.Tensor", self.module(inputs))


class Around:
    """Base of models that answer through another one and share its module."""

    inner: AnswersLogits


@dataclass(eq=False)
class Aligned(Around):
    """A model whose logits are picked into the order of other labels; it shares its module.

    columns: for each label, the position of its logit in the answer of `inner`.
    """

    inner: AnswersLogits
    module: torch.nn.Module
    labels: tuple[str, ...]
    columns: list[int]
    answers: Collection[str] = frozenset({"logits"})

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """One unnormalised score per label for inputs [batch, …]: [batch, labels]."""
        return self.inner.logits(inputs)[:, self.columns]


def align(model: Model, labels: Sequence[str]) -> AnswersLogits:
    """`model`, answering for `labels` in their order; label spaces are compared by name.

    A model that knows more labels is asked for these only.

    Raises:
        RequestError: the model gives no logits, doesn't know some of the labels, or has two logits
            of one name.
    """
    if "logits" not in model.answers:
        raise RequestError(Problem("the model gives no logits, so it can't tell labels apart"))
    asked, known = tuple(labels), tuple(model.labels)
    scorer = cast("AnswersLogits", model)
    if asked == known:
        return scorer
    missing = [label for label in asked if label not in known]
    if missing:
        raise RequestError(_unknown_labels(missing, known))
    if twice := [label for label in asked if known.count(label) > 1]:
        what = f"the model has two logits named {_names(twice)}"
        raise RequestError(Problem(what, "give each label of the model a name of its own"))
    return Aligned(scorer, scorer.module, asked, [known.index(label) for label in asked])


def own_labels(model: Model) -> tuple[str, ...]:
    """The labels in the order in which the module itself gives their logits."""
    return own_labels(model.inner) if isinstance(model, Around) else tuple(model.labels)


def images_only(who: str, kind: str, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """`shape` as (channels, height, width), for a model that takes nothing but images.

    Raises:
        RequestError: the inputs are something else.
    """
    if kind != "image" or len(shape) != 3:
        raise RequestError(
            Problem(
                f"`{who}` takes images, but the inputs are {kind or 'unknown'} of shape {shape}",
                "`use: mlp` takes inputs of any shape",
            )
        )
    channels, height, width = shape
    return channels, height, width


def _unknown_labels(missing: list[str], known: tuple[str, ...]) -> Problem:
    return Problem(
        f"the model doesn't know {_names(missing)}; it knows {_names(known)}",
        "labels are compared by name: give both the same names, "
        "or train a new head (`new_head: true` for `use: hf`)",
        meant=did_you_mean(missing[0], known),
    )


def _names(labels: Sequence[str]) -> str:
    shown = ", ".join(f"`{label}`" for label in labels[:_SHOWN])
    more = len(labels) - _SHOWN
    return (shown or "no labels") + (f" and {more} more" if more > 0 else "")
