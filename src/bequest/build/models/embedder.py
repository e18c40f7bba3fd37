"""Any network as an embedder of a given width."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bequest.build.encoder import Behind

if TYPE_CHECKING:
    from bequest.build.embedding import UnitVectors


_WIDTH = 64


class Embedder(Behind):
    """Unit vectors from any network: a classifier's last layer, or a linear one behind an encoder.

    New models that `independent` and `bct` train are such.
    """

    width: int | None = Field(
        None, ge=1, le=65_536, description="Numbers in a vector; as many as `old` gives, or 64."
    )

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> UnitVectors:
        """The embedder, with new layers behind the encoder.

        Raises:
            RequestError: the encoder can't be had, or takes other inputs.
        """
        from bequest.build.embedding import UnitVectors
        from bequest.lazy import torch

        inner, trunk, frozen = self.encoder(shape, kind, self.width or _WIDTH)
        return UnitVectors(inner, torch.nn.ModuleDict({"trunk": trunk}), frozen)
