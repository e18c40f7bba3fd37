"""Another model with low-rank adapters: they train, the rest stays bit for bit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.inner import Inner
from bequest.build.vision import heads_of
from bequest.core.errors import Problem, RequestError
from bequest.lazy import peft

if TYPE_CHECKING:
    from bequest.core.live import Model

_ALL = "all-linear"


class Lora(Inner):
    """The model in `of` with low-rank adapters (Hu et al. 2022) in its linear layers, by peft.

    The head of a classifier gets none unless it is named; it trains as a whole where it is new.
    """

    source: ClassVar[str] = "Hu et al. 2022, arXiv 2106.09685"

    rank: int = Field(8, ge=1, le=1024, description="Width of an adapter.")
    alpha: float = Field(16.0, gt=0, description="An adapter's answer is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before an adapter.")
    targets: tuple[str, ...] = Field(
        (_ALL,), min_length=1, description="Names of the layers that get one; all linear ones."
    )

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Model:
        """The other model, changed in place: its own weights are frozen, but for a new head.

        Raises:
            RequestError: the other model can't be had, or has no such layers.
        """
        base = self.base()
        model = base.build(shape, kind, labels)
        heads = heads_of(model.module) if "logits" in model.answers else []
        everywhere = self.targets == (_ALL,)
        settings = peft.LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=_ALL if everywhere else list(self.targets),
            exclude_modules=_below(heads) if everywhere and heads else None,
        )
        try:
            peft.inject_adapter_in_model(settings, model.module)
        except ValueError as error:
            first = str(error).partition("\n")[0]
            what = f"adapters can't be put into `{self.of['use']}`: {first}"
            raise RequestError(Problem(what, field=("targets",))) from error
        for head in [] if base.comes_with_weights() else heads:
            model.module.get_submodule(head).requires_grad_(True)
        return model


def _below(paths: list[str]) -> str:
    """A pattern for these parts and all within them."""
    return rf"({'|'.join(map(re.escape, paths))})(\..*)?"
