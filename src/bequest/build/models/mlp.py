"""A multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from bequest.build.model import Classifier
from bequest.build.predictor import Predictor, predictor
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import ModelSpec
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.core.live import Target

Width = Annotated[int, Field(ge=1, le=65_536)]


class Mlp(ModelSpec):
    """Dense layers with ReLU between them, over flattened features or images of any shape."""

    answers: ClassVar[Collection[str]] = frozenset({"logits", "predict"})
    takes: ClassVar[Collection[str]] = frozenset({"features", "image"})

    hidden: tuple[Width, ...] = Field(
        (64, 64), max_length=64, description="Width of each hidden layer; empty: a linear model."
    )
    bias: bool = Field(True, description="Whether the layers have biases.")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of hidden values dropped while training."
    )

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Classifier:
        """New weights for inputs of any `shape`.

        Raises:
            RequestError: the inputs are no numbers.
        """
        return Classifier(self._module(shape, kind, len(labels)), labels)

    def predictor(self, shape: tuple[int, ...], kind: str, target: Target) -> Predictor:
        """New weights for inputs of any `shape`; the last layer gives one number.

        Raises:
            RequestError: the inputs are no numbers.
        """
        return predictor(self._module(shape, kind, 1), target)

    def _module(self, shape: tuple[int, ...], kind: str, outputs: int) -> torch.nn.Module:
        if not shape:  # as those of texts; arrays of any kind can be flattened
            what = f"`mlp` takes features or images, but the inputs are {kind or 'unknown'}"
            raise RequestError(Problem(what, "texts are for `use: hf`"))
        nn = torch.nn
        layers: list[torch.nn.Module] = [nn.Flatten()]
        widths = (prod(shape), *self.hidden)
        for width, following in pairwise(widths):
            layers += [nn.Linear(width, following, bias=self.bias), nn.ReLU()]
            layers += [nn.Dropout(self.dropout)] if self.dropout else []
        layers.append(nn.Linear(widths[-1], outputs, bias=self.bias))
        return nn.Sequential(*layers)
