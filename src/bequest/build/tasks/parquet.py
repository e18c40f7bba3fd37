"""A table in a Parquet file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.paths import located
from bequest.build.settings import TableFiles
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bequest.build.classification import Classification


class Parquet(TableFiles):
    """A Parquet file; one column holds labels, the others numbers or words."""

    def header(self, path: str) -> list[str]:
        """Names of its columns.

        Raises:
            RequestError: the file can't be read.
        """
        import pyarrow.parquet as pq

        return list(_tried(pq.read_schema, path).names)

    def load(self, name: str) -> Classification:
        """Features [columns], labels in natural order of their names.

        Raises:
            RequestError: a file or column can't be used.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        from bequest.build.splitting import FIELD_SIDES
        from bequest.build.tabular import table_task

        tables = {FIELD_SIDES[field]: self.read(path) for field, path in self.files().items()}
        return table_task(self, name, tables, unlabelled=self.unlabelled)

    def read(self, path: str) -> Any:
        """The table in a file; see `TableFiles.read`."""
        import pyarrow.parquet as pq

        return _tried(pq.read_table, path)


def _tried(read: Callable[[Any], Any], path: str) -> Any:
    import pyarrow as pa

    try:
        return read(located(path))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RequestError(Problem(f"`{path}` can't be read: {error}", field=("path",))) from error
