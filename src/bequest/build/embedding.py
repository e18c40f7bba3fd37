"""Encoders with learnt layers behind them, and who answers a query against whose vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bequest.lazy import functional, torch

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(eq=False)
class Outputs:
    """A network whose last layer is read as a vector, whatever it was built to give."""

    inner: Any
    labels: tuple[str, ...] = ()
    answers: Collection[str] = frozenset({"embed"})

    @property
    def module(self) -> torch.nn.Module:
        """That of the network."""
        return cast("torch.nn.Module", self.inner.module)

    def embed(self, inputs: Any) -> torch.Tensor:
        """What the last layer gives: [batch, width]."""
        return cast("torch.Tensor", self.inner.logits(inputs))


class Vectors:
    """Base of embedders made of an encoder and layers behind it.

    inner: the encoder, a model that answers `embed`. frozen: whether it stays as it is, so that its
    vectors can be kept and only the layers behind it are trained. layers: what those are made of.
    """

    answers: Collection[str] = frozenset({"embed"})
    labels: tuple[str, ...] = ()

    def __init__(self, inner: Any, layers: torch.nn.ModuleDict, frozen: bool) -> None:
        self.inner, self.layers, self.frozen = inner, layers, frozen
        if frozen:
            inner.module.requires_grad_(False)
        self.module: torch.nn.Module = torch.nn.ModuleDict(
            {"encoder": inner.module, "layers": layers}
        )

    @property
    def compared(self) -> int:
        """How many numbers of a vector, the first, are compared with an older model's."""
        raise NotImplementedError

    def embed(self, inputs: Any) -> torch.Tensor:
        """One vector per input: [batch, width]."""
        return self.mapped(self.inner.embed(inputs))

    def mapped(self, vectors: torch.Tensor) -> torch.Tensor:
        """What the layers make of the encoder's vectors: [batch, encoder's] -> [batch, width]."""
        raise NotImplementedError

    def tensors(self) -> dict[str, torch.Tensor]:
        """What the layers are as a pack of kind `basis` holds it; see `build.upgrade.Upgrade`."""
        raise NotImplementedError

    def trunk(self, vectors: torch.Tensor) -> torch.Tensor:
        """The encoder's vectors through the first layer, where there is one."""
        return cast("torch.Tensor", self.layer("trunk")(vectors))

    def layer(self, name: str) -> Any:
        """One of the layers."""
        return self.layers[name]

    def width_given(self) -> int:
        """Numbers in the encoder's vectors."""
        trunk: Any = self.layer("trunk")
        return int(getattr(trunk, "in_features", 0) or trunk.width)

    def _trunk_tensors(self) -> dict[str, torch.Tensor]:
        trunk = self.layer("trunk")
        if isinstance(trunk, torch.nn.Identity):
            return {}
        return {"trunk": trunk.weight.detach(), "trunk_bias": trunk.bias.detach()}


class UnitVectors(Vectors):
    """The encoder's vectors through at most one linear layer, made one long."""

    @property
    def compared(self) -> int:
        """All."""
        trunk: Any = self.layer("trunk")
        return int(getattr(trunk, "out_features", 0) or trunk.width)

    def mapped(self, vectors: torch.Tensor) -> torch.Tensor:
        """Unit vectors: [batch, width]."""
        return functional.normalize(self.trunk(vectors), dim=1)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The linear layer, if there is one."""
        return self._trunk_tensors()


@dataclass(eq=False)
class Search:
    """A model that answers queries, and the one whose vectors lie in the gallery.

    stored: whether the gallery's vectors are those that already lie where the user keeps them.
    """

    query: Any
    gallery: Any
    stored: bool = False
    labels: tuple[str, ...] = ()
    answers: Collection[str] = frozenset({"embed"})

    def __post_init__(self) -> None:
        self.inner, self.module = self.query, self.query.module

    def embed(self, inputs: Any) -> torch.Tensor:
        """The vectors of queries."""
        return cast("torch.Tensor", self.query.embed(inputs))
