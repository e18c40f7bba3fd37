"""A table in a CSV file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bequest.build.paths import located
from bequest.build.settings import Delimiter, Encoding, TableFiles
from bequest.build.text_files import header_of, named

if TYPE_CHECKING:
    from bequest.build.columns import SideTable


class Csv(TableFiles):
    """A CSV file with a header; one column holds labels, the others numbers or words.

    It may be compressed by gzip, bzip2 or xz.
    """

    delimiter: Delimiter = None
    encoding: Encoding = None
    decimal: Literal[".", ","] | None = Field(
        None, description="The mark before fractions; found from the numbers when left out."
    )

    def header(self, path: str) -> list[str]:
        """Names in the first line.

        Raises:
            RequestError: the file can't be read.
        """
        names, _ = header_of(located(path), self.delimiter, self.encoding)
        return named(names)

    def tables(self) -> tuple[list[SideTable], list[str]]:
        """All values as texts; see `TableFiles.tables`."""
        from bequest.build.table_files import csv_tables

        return csv_tables(self.files(), self.delimiter, self.encoding, self.decimal)
