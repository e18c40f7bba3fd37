"""A table in a Parquet file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.build.paths import located
from bequest.build.settings import TableFiles
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.build.columns import SideTable


class Parquet(TableFiles):
    """A Parquet file; one column holds labels, the others numbers or words."""

    def header(self, path: str) -> list[str]:
        """Names of its columns.

        Raises:
            RequestError: the file can't be read.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return list(pq.read_schema(located(path)).names)
        except (pa.ArrowException, OSError, ValueError) as error:
            fix = "`use: csv` reads tables that are text"
            raise RequestError(Problem(f"`{path}` can't be read: {error}", fix)) from error

    def tables(self) -> tuple[list[SideTable], list[str]]:
        """Values as they are stored; see `TableFiles.tables`."""
        from bequest.build.table_files import parquet_tables

        return parquet_tables(self.files()), []
