"""A small language model with new weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.documents import column_problems, has_records
from bequest.build.finding import at_hand, path_problems
from bequest.core.errors import Problem
from bequest.core.parts import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.core.live import Model


class Transformer(ModelSpec):
    """A small causal language model with new weights, and a vocabulary learned from a text.

    The architecture is Llama's; tokens are pieces of words (byte-level BPE) of the text in `path`.
    """

    answers: ClassVar[Collection[str]] = frozenset({"logprob", "complete"})
    takes: ClassVar[Collection[str]] = frozenset({"text"})

    path: str = Field(
        min_length=1,
        description="The text that the vocabulary is learned from: a file, a folder, an asset.",
    )
    columns: tuple[str, ...] = Field(
        ("text",), min_length=1, description="Where the text is in a file of records."
    )
    vocabulary: int = Field(4000, ge=300, le=200_000, description="How many tokens there are.")
    width: int = Field(128, ge=8, le=4096, description="Size of the hidden states.")
    layers: int = Field(3, ge=1, le=64, description="How many layers.")
    heads: int = Field(4, ge=1, le=64, description="Attention heads of a layer.")
    longest: int = Field(128, ge=8, le=8192, description="Tokens that it reads at once.")

    def check(self) -> list[Problem]:
        """Whether the text is there, and the width can be shared among the heads."""
        problems = [*super().check(), *path_problems(self.path)]
        if self.width % (2 * self.heads):
            what = f"a width of {self.width} can't be shared among {self.heads} heads"
            fix = f"give a multiple of {2 * self.heads}"
            problems.append(Problem(what, fix, ("width",)))
        place = at_hand(self.path)
        if place and not place.is_dir() and has_records(str(place)):
            for column in self.columns:
                problems += column_problems(str(place), {"columns": column})
        return problems

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> Model:
        """The model, for texts.

        Raises:
            RequestError: the text can't be used, or the inputs are none.
        """
        from bequest.build.scratch import new_language_model

        return new_language_model(self, kind)
