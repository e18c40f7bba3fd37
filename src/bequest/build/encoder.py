"""Models whose vectors are made from another model's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.build.inner import Inner, spec_of
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bequest.core.find import Kind
    from bequest.core.parts import ModelSpec


class Behind(Inner):
    """Learnt layers behind the encoder in `of`: an embedder, or any network that gives logits.

    Of a network that gives logits the last layer is made as wide as is needed, and trains. What
    embeds already gets a linear layer behind it; where it comes with weights, it stays as it is.
    """

    answers: ClassVar[Collection[str]] = frozenset({"embed"})
    inner: ClassVar[Mapping[str, Kind]] = {"of": "models", "old": "models"}

    old: dict[str, Any] | None = Field(
        None,
        description="The model whose vectors the new ones are compared with, which says how long "
        "they must be: `use:` and its settings, or its name in the recipe.",
    )
    frozen: bool | None = Field(
        None, description="Whether the encoder stays as it is; by default if it has its weights."
    )

    def protocols(self) -> Collection[str]:
        """Vectors."""
        return self.answers

    def check(self) -> list[Problem]:
        """The other model gives vectors or logits."""
        problems = super().check()
        if not problems and not {"embed", "logits"} & set(self.base().protocols()):
            what = f"`{self.of['use']}` gives neither vectors nor logits"
            problems.append(Problem(what, "use an embedder or a classifier", ("of", "use")))
        if self.old is not None and "embed" not in spec_of(self.old).protocols():
            what = f"`{self.old['use']}` gives no vectors"
            problems.append(Problem(what, "name an embedder", ("old", "use")))
        return problems

    def settled(self, shape: tuple[int, ...], kind: str) -> ModelSpec:
        """The same with the length of the vectors of `old`, where it is not said, and without it.

        Raises:
            RequestError: that model can't be had, or takes other inputs.
        """
        if self.old is None:
            return self
        field = "old_width" if "old_width" in type(self).model_fields else "width"
        width = getattr(self, field)
        if width is None:
            width = _width_of_old(spec_of(self.old), shape, kind)
        return self.model_copy(update={field: width, "old": None})

    def encoder(
        self, shape: tuple[int, ...], kind: str, width: int
    ) -> tuple[Any, torch.nn.Module, bool]:
        """The encoder, the layer that makes its vectors `width` wide, and whether it is frozen.

        Raises:
            RequestError: the other model can't be had, or takes other inputs.
        """
        from bequest.build.embedding import Outputs

        base = self.base()
        frozen = base.comes_with_weights() if self.frozen is None else self.frozen
        if "embed" in base.protocols():
            inner: Any = base.build(shape, kind, ())
            trunk: torch.nn.Module = _as_it_is(width_of(inner, shape), width)
        else:
            names = tuple(f"v{number}" for number in range(width))
            inner, trunk = Outputs(base.build(shape, kind, names)), _nothing(width)
        return inner, trunk, frozen

    def comes_with_weights(self) -> bool:
        """The layers behind the encoder are new in every build."""
        return False


def _width_of_old(old: ModelSpec, shape: tuple[int, ...], kind: str) -> int:
    try:
        with torch.random.fork_rng():  # what is drawn for the layers stays what it is
            return width_of(old.build(shape, kind, ()), shape)
    except RequestError as error:
        raise RequestError([problem.under("old") for problem in error.problems]) from error


def _nothing(width: int) -> torch.nn.Module:
    """A layer that hands on vectors of that width."""
    layer = torch.nn.Identity()
    layer.width = width  # type: ignore[assignment]
    return layer


def _as_it_is(given: int, width: int) -> torch.nn.Linear:
    """A new linear layer that hands on the vectors it is given, where it is wide enough."""
    layer = torch.nn.Linear(given, width)
    if width >= given:
        with torch.no_grad():
            layer.weight[:given] = torch.eye(given)
            layer.bias[:given] = 0
    return layer


def width_of(model: Any, shape: tuple[int, ...]) -> int:
    """How long the vectors of a model are, found by asking it once."""
    inputs: Any = torch.zeros(1, *shape) if shape else Texts(("a b",))
    with torch.no_grad():
        return int(model.embed(inputs).shape[1])
