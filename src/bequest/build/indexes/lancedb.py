"""Vectors in a LanceDB table."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bequest.core.errors import Problem, RequestError, StoreError, did_you_mean
from bequest.core.parts import IndexSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


class Lancedb(IndexSpec):
    """A table of a LanceDB database in a local folder; needs the extra `retrieval`."""

    path: str = Field(min_length=1, description="Folder of the database.")
    table: str = Field(min_length=1, description="Name of the table.")
    id: str = Field("id", min_length=1, description="Column of the ids.")
    vector: str = Field("vector", min_length=1, description="Column of the vectors.")

    def check(self) -> list[Problem]:
        """The library is installed."""
        if find_spec("lancedb") is not None:
            return []
        return [Problem("lancedb is not installed", "pip install 'bequest[retrieval]'", ("use",))]

    def read(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """Ids and vectors.

        Raises:
            RequestError: there is no such table or column, the table is damaged, or vectors differ
                in length.
        """
        from pathlib import Path

        from bequest.build.indexed import from_arrow
        from bequest.build.paths import located

        place = located(self.path)
        if not Path(place).is_dir():
            raise RequestError(Problem(f"there is no database `{self.path}`", field=("path",)))
        database = self._opened()
        names = self._tables(database)
        if self.table not in names:
            fix, meant = f"it has {', '.join(names) or 'none'}", did_you_mean(self.table, names)
            raise RequestError(Problem(f"there is no table `{self.table}`", fix, ("table",), meant))
        try:
            table = database.open_table(self.table).to_arrow()
        except Exception as error:
            what = f"table `{self.table}` can't be read: {error}"
            raise RequestError(Problem(what, "is it whole?", ("table",))) from error
        return from_arrow(table, self.id, self.vector)

    def write(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """A new table, which is there once all of it is.

        Raises:
            RequestError: there is such a table already, or ids and vectors don't fit.
            StoreError: it could not be written.
        """
        import pyarrow

        from bequest.build.indexed import batches_of, refuse_unfit, schema_of

        refuse_unfit(ids, vectors)
        database = self._opened()
        if self.table in self._tables(database):
            what = f"there is a table `{self.table}` already"
            raise RequestError(
                Problem(what, "choose another name, or drop it yourself", ("table",))
            )
        schema = schema_of(self.id, self.vector, vectors.shape[1])
        stream = pyarrow.RecordBatchReader.from_batches(schema, batches_of(ids, vectors, schema))
        try:
            database.create_table(self.table, stream, schema=schema)
        except BaseException as error:
            if isinstance(error, ValueError) and "already exists" in str(error):
                # Somebody made it meanwhile: it is theirs.
                raise RequestError(Problem(str(error), field=("table",))) from error
            if self.table in self._tables(database):
                database.drop_table(self.table)
            if not isinstance(error, Exception):  # interrupted
                raise
            raise StoreError(f"table `{self.table}` could not be written: {error}") from error

    def _opened(self) -> Any:
        import lancedb

        from bequest.build.paths import located

        try:
            return lancedb.connect(str(located(self.path)))
        except Exception as error:
            what = f"`{self.path}` can't be opened: {error}"
            raise RequestError(Problem(what, field=("path",))) from error

    def _tables(self, database: Any) -> list[str]:
        """Names of tables; what a process left that was killed while it wrote one is none."""
        from bequest.build.paths import located

        found: list[str] = []
        page = None
        while True:
            listed = database.list_tables(page_token=page)
            found += listed.tables
            if not (page := listed.page_token):
                place = located(self.path)
                return [name for name in found if (place / f"{name}.lance/_versions").is_dir()]
