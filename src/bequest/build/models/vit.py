"""A vision transformer from transformers, with new weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.model import Classifier, images_only
from bequest.build.vision import logits_module, quiet
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import ModelSpec
from bequest.lazy import transformers

if TYPE_CHECKING:
    from collections.abc import Collection


class Vit(ModelSpec):
    """A vision transformer (Dosovitskiy et al. 2021) from transformers, with new weights."""

    takes: ClassVar[Collection[str]] = frozenset({"image"})

    patch_size: int = Field(
        4, ge=1, le=512, description="Side of a patch in pixels; divides height and width."
    )
    hidden_size: int = Field(64, ge=1, le=8192, description="Width of a token.")
    layers: int = Field(4, ge=1, le=256, description="Number of transformer blocks.")
    heads: int = Field(4, ge=1, le=256, description="Attention heads; divide the hidden size.")

    def check(self) -> list[Problem]:
        """Heads share the width of a token evenly."""
        if self.hidden_size % self.heads == 0:
            return []
        what = f"{self.heads} heads can't share a width of {self.hidden_size}"
        return [Problem(what, "`heads` must divide `hidden_size`", ("heads",))]

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Classifier:
        """New weights for images [channels, height, width].

        Raises:
            RequestError: the inputs are not images, or don't fall into whole patches.
        """
        channels, height, width = images_only("vit", kind, shape)
        if height % self.patch_size or width % self.patch_size:
            raise RequestError(self._torn(height, width))
        config = transformers.ViTConfig(
            num_channels=channels,
            image_size=(height, width),
            patch_size=self.patch_size,
            hidden_size=self.hidden_size,
            intermediate_size=4 * self.hidden_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_labels=len(labels),
        )
        with quiet():
            net = transformers.ViTForImageClassification(config)
        return Classifier(logits_module(net), labels)

    def _torn(self, height: int, width: int) -> Problem:
        sides = range(1, min(height, width) + 1)
        whole = [str(side) for side in sides if height % side == 0 == width % side]
        return Problem(
            f"patches of {self.patch_size} pixels don't fill images of {height} x {width}",
            f"`patch_size` can be {', '.join(whole)}",
            ("patch_size",),
        )
