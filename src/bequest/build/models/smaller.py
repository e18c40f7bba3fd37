"""A shallower or narrower copy of a pretrained model, begun with the parent's own weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveInt

from bequest.build.inner import Inner
from bequest.build.shrinking import config_of, shrunk, with_module
from bequest.core.errors import Problem

if TYPE_CHECKING:
    from bequest.core.live import Model


class Smaller(Inner):
    """A copy of the transformer in `of` with fewer layers or a smaller width, from its weights.

    Layers are taken whole and at even distances, the first and the last among them; of a narrower
    copy each matrix is the leading part of the parent's.
    """

    layers: PositiveInt | tuple[int, ...] = Field(
        description="How many layers, or the places of those to keep, counted from 0."
    )
    width: PositiveInt | None = Field(
        None, description="Size of the hidden states; a multiple of the size of an attention head."
    )

    def check(self) -> list[Problem]:
        """What is wrong with the other model, or with the layers named."""
        problems = super().check()
        if isinstance(self.layers, tuple) and sorted(set(self.layers)) != list(self.layers):
            what = "the layers must be in rising order, each once"
            problems.append(Problem(what, field=("layers",)))
        return problems

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Model:
        """The copy; the parent is let go.

        Raises:
            RequestError: the parent can't be had, has fewer layers, or can't be narrowed so.
        """
        parent = self.base().build(shape, kind, labels)
        net: Any = parent.module
        kept = self._kept(config_of(net, str(self.of["use"])).num_hidden_layers)
        return with_module(parent, shrunk(net, kept, self.width))

    def _kept(self, depth: int) -> list[int]:
        if isinstance(self.layers, tuple):
            return list(self.layers)
        if self.layers == 1 or self.layers > depth:
            return list(range(self.layers))
        return [round(number * (depth - 1) / (self.layers - 1)) for number in range(self.layers)]
