"""A small convolutional network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.model import Classifier, images_only
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import ModelSpec
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Collection

_SMALLEST = 4


class Cnn(ModelSpec):
    """A small convolutional network for images of any size, without normalisation layers.

    One convolution keeps the size; then as many halve it as it takes to bring the shorter side
    below 8 pixels, at least one; a dense head reads the whole last map. All layers scale with
    `width`. No batch statistics, so nothing but weights carries what was learnt.
    """

    takes: ClassVar[Collection[str]] = frozenset({"image"})

    width: int = Field(
        32, ge=1, le=4096, description="Channels of the first convolution; later ones have twice."
    )

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Classifier:
        """New weights for images [channels, height, width] of at least 4 × 4 pixels.

        Raises:
            RequestError: the inputs are not images, or are too small.
        """
        channels, height, width = images_only("cnn", kind, shape)
        if min(height, width) < _SMALLEST:
            raise RequestError(
                Problem(
                    f"`cnn` needs images of at least {_SMALLEST} x {_SMALLEST} pixels, "
                    f"these have {height} x {width}",
                    "`use: mlp` takes images of any size",
                )
            )
        return Classifier(self._module(channels, height, width, len(labels)), labels)

    def _module(self, channels: int, height: int, width: int, labels: int) -> torch.nn.Module:
        nn, wide = torch.nn, 2 * self.width
        layers: list[torch.nn.Module] = [nn.Conv2d(channels, self.width, 3, padding=1), nn.ReLU()]
        last = self.width
        while last == self.width or min(height, width) >= 8:
            layers += [nn.Conv2d(last, wide, 3, stride=2, padding=1), nn.ReLU()]
            last, height, width = wide, (height + 1) // 2, (width + 1) // 2
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(wide * height * width, labels))
