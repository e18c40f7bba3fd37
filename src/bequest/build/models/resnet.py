"""A residual network from transformers, with new weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from bequest.build.model import Classifier, images_only
from bequest.build.processors import Preprocessing
from bequest.build.vision import logits_module, quiet
from bequest.core.errors import Problem
from bequest.core.parts import ModelSpec
from bequest.lazy import transformers

if TYPE_CHECKING:
    from collections.abc import Collection

Width = Annotated[int, Field(ge=1, le=8192)]
Depth = Annotated[int, Field(ge=1, le=256)]


class Resnet(ModelSpec):
    """A residual network (He et al. 2016) from transformers, with new weights.

    Its stem and stages halve the image several times, so small images are enlarged first.
    """

    takes: ClassVar[Collection[str]] = frozenset({"image"})

    widths: tuple[Width, ...] = Field(
        (16, 32, 64), min_length=1, max_length=8, description="Channels of each stage."
    )
    depths: tuple[Depth, ...] = Field(
        (1, 1, 1), min_length=1, max_length=8, description="Residual blocks of each stage."
    )
    layer: Literal["basic", "bottleneck"] = Field(
        "basic", description="Kind of block: two 3 x 3 convolutions, or 1 x 1, 3 x 3, 1 x 1."
    )
    smallest: int = Field(
        32, ge=4, le=4096, description="Images with a shorter side, in pixels, are enlarged to it."
    )

    def check(self) -> list[Problem]:
        """As many depths as widths."""
        if len(self.widths) == len(self.depths):
            return []
        what = f"{len(self.widths)} widths, but {len(self.depths)} depths"
        return [Problem(what, "give both one number per stage", ("depths",))]

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Classifier:
        """New weights for images [channels, height, width].

        Raises:
            RequestError: the inputs are not images.
        """
        channels, height, width = images_only("resnet", kind, shape)
        config = transformers.ResNetConfig(
            num_channels=channels,
            embedding_size=self.widths[0],
            hidden_sizes=list(self.widths),
            depths=list(self.depths),
            layer_type=self.layer,
            num_labels=len(labels),
        )
        with quiet():
            net = transformers.ResNetForImageClassification(config)
        size = max(height, self.smallest), max(width, self.smallest)
        return Classifier(logits_module(net, Preprocessing(size=size)), labels)
