"""Running text that a language model is to find likely."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.finding import path_problems
from bequest.build.settings import SplitSettings

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.build.running_text import RunningText
    from bequest.core.errors import Problem


class Language(SplitSettings):
    """Texts in a file or folder, cut into passages; what is measured is their perplexity.

    A `.jsonl`, `.json` or `.csv` file has one document a line, a data file of WordNet one a sense;
    any other file is one document; a folder has one in each file. Passages of a document stay on
    one side.
    """

    asks: ClassVar[str] = "logprob"
    records: ClassVar[Collection[str]] = frozenset({"text_nll", "tokens", "bytes"})
    kind: ClassVar[str] = "text"

    path: str = Field(
        min_length=1, description="The file or folder, or an asset and a part of it: `name/part`."
    )
    column: str = Field("text", description="Where the text is in a file of records.")
    template: str | None = Field(
        None,
        description="What the text of a record is made of, such as `{word}: {gloss}`, instead of "
        "one column.",
    )
    where: dict[str, str] = Field(
        default_factory=dict, description="Take only records with these values in these columns."
    )
    passage: int = Field(
        800, ge=20, le=100_000, description="Characters of a passage, at the most."
    )
    documents: int | None = Field(
        None, ge=3, description="Take so many documents at most, chosen by content."
    )
    passages: int | None = Field(
        None, ge=1, description="Take so many passages of a document at most, from its beginning."
    )
    test_samples: int | None = Field(
        None, ge=1, description="Test on so many passages at most, chosen by content."
    )

    def check(self) -> list[Problem]:
        """Shares, and whether the path leads anywhere."""
        return [*super().check(), *path_problems(self.path)]

    def load(self, name: str) -> RunningText:
        """Passages on three sides.

        Raises:
            RequestError: a file can't be used, or too few documents are there.
        """
        from bequest.build.running_text import running_text

        return running_text(self, name)
