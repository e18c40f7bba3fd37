"""Another model with low-rank adapters: they train, the rest stays bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.build.inner import Inner
from bequest.core.errors import Problem, RequestError
from bequest.lazy import peft

if TYPE_CHECKING:
    from bequest.core.live import Model

_ALL = "all-linear"


class Lora(Inner):
    """The model in `of` with low-rank adapters (Hu et al. 2022) in its linear layers, by peft."""

    source: ClassVar[str] = "Hu et al. 2022, arXiv 2106.09685"

    rank: int = Field(8, ge=1, le=1024, description="Width of an adapter.")
    alpha: float = Field(16.0, gt=0, description="An adapter's answer is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before an adapter.")
    targets: tuple[str, ...] = Field(
        (_ALL,), min_length=1, description="Names of the layers that get one; all linear ones."
    )

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Model:
        """The other model, changed in place: all its own weights are frozen.

        Raises:
            RequestError: the other model can't be had, or has no such layers.
        """
        model = self.base().build(shape, kind, labels)
        targets: Any = _ALL if self.targets == (_ALL,) else list(self.targets)
        settings = peft.LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=targets
        )
        try:
            peft.inject_adapter_in_model(settings, model.module)
        except ValueError as error:
            first = str(error).partition("\n")[0]
            what = f"adapters can't be put into `{self.of['use']}`: {first}"
            raise RequestError(Problem(what, field=("targets",))) from error
        return model
