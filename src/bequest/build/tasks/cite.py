"""Which sentence of a document supports a highlight."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bequest.build.documents import column_problems, has_records
from bequest.build.finding import at_hand, path_problems
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import TaskSpec

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.build.citing import Citing


class Cite(TaskSpec):
    """Which sentence of a document supports a highlight?

    A `.jsonl`, `.json` or `.csv` file has one sentence a record: the document it belongs to, the
    sentence, and a highlight that it supports, which may be empty. WordNet's data files are such:
    `document: kind`, `sentence: gloss`, `highlight: example`.
    """

    asks: ClassVar[str] = "prefer"
    kind: ClassVar[str] = "text"
    records: ClassVar[Collection[str]] = frozenset({"correct", "reciprocal_rank", "calls"})

    purpose: Literal["probe"] = Field("probe", description="Nothing can be learned from it.")
    path: str = Field(
        min_length=1, description="The file, or an asset and a part of it: `name/part`."
    )
    document: str = Field("document", min_length=1, description="Column of documents' names.")
    sentence: str = Field("sentence", min_length=1, description="Column of the sentences.")
    highlight: str = Field("highlight", min_length=1, description="Column of the highlights.")
    where: dict[str, str] = Field(
        default_factory=dict, description="Take only records with these values in these columns."
    )
    sentences: int = Field(
        16,
        ge=2,
        le=10_000,
        description="Longer documents are cut into pieces of so many sentences.",
    )
    samples: int | None = Field(
        None, ge=1, description="Ask for so many highlights at most, chosen by content."
    )

    def check(self) -> list[Problem]:
        """Whether the file is there and has the columns."""
        problems = [*super().check(), *path_problems(self.path)]
        if (place := at_hand(self.path)) is None:
            return problems
        if place.is_dir() or not has_records(str(place)):
            what = f"`{self.path}` is no file of records"
            return [*problems, Problem(what, "give a `.csv` or `.jsonl` file", ("path",))]
        columns = {name: getattr(self, name) for name in ("document", "sentence", "highlight")}
        return [*problems, *column_problems(str(place), columns, self.where)]

    def load(self, name: str) -> Citing:
        """Highlights with their documents, as test samples.

        Raises:
            RequestError: the file can't be used, or no document with a highlight has two sentences.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        from bequest.build.citing import citing

        return citing(self, name)
