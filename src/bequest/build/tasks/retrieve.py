"""Texts that search for texts, in two files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bequest.build.documents import column_problems
from bequest.build.finding import at_hand, path_problems
from bequest.build.searching import SearchSettings
from bequest.core.errors import RequestError

if TYPE_CHECKING:
    from bequest.build.retrieval import Retrieval
    from bequest.core.errors import Problem


class Retrieve(SearchSettings):
    """Queries that search a gallery of texts: which items come first, and do they belong?

    Two files with one record a line (`.jsonl` or `.csv`): items with an id, and queries with the id
    of the item that belongs to each, or a list of them. Everything is in the gallery.
    """

    items: str = Field(min_length=1, description="File of the items.")
    queries: str = Field(min_length=1, description="File of the queries.")
    id: str = Field("id", min_length=1, description="Column of the items' ids.")
    text: str = Field("text", min_length=1, description="Column of the texts, in both files.")
    item: str = Field(
        "item", min_length=1, description="Column of the queries: the item's id, or a list of ids."
    )

    def check(self) -> list[Problem]:
        """Both files, their columns, and the index."""
        problems = super().check()
        wanted = {
            "items": {"id": self.id, "text": self.text},
            "queries": {"text": self.text, "item": self.item},
        }
        for field, columns in wanted.items():
            path = getattr(self, field)
            problems += path_problems(path, field)
            if place := at_hand(path):
                problems += column_problems(str(place), columns, field=field)
        return problems

    def load(self, name: str) -> Retrieval:
        """The texts.

        Raises:
            RequestError: a file can't be used, an id is there twice, or a query belongs to nothing.
        """
        if problems := self.check():
            raise RequestError(problems)

        from bequest.build.search_files import collected
        from bequest.build.searches import searches

        return searches(self, name, collected(self))
