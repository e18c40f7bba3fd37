"""Any network as an embedder of a given width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bequest.build.encoder import Behind

if TYPE_CHECKING:
    from bequest.build.embedding import UnitVectors


class Embedder(Behind):
    """Unit vectors from any network: a classifier's last layer, or a linear one behind an encoder.

    New models that `independent` and `bct` train are such.
    """

    width: int = Field(64, ge=1, le=65_536, description="Numbers in a vector.")

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> UnitVectors:
        """The embedder, with new layers behind the encoder.

        Raises:
            RequestError: the encoder can't be had, or takes other inputs.
        """
        from bequest.build.embedding import UnitVectors
        from bequest.lazy import torch

        inner, trunk, frozen = self.encoder(shape, kind, self.width)
        return UnitVectors(inner, torch.nn.ModuleDict({"trunk": trunk}), frozen)
