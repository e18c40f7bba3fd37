"""Vectors in a PostgreSQL table, with the extension pgvector."""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from pydantic import Field

from bequest.core.errors import Problem, RequestError, StoreError
from bequest.core.parts import IndexSpec
from bequest.lazy import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_SECONDS = 10  # until a server that doesn't answer counts as down
_ROWS = 10_000  # fetched at a time


class Pgvector(IndexSpec):
    """A table of a PostgreSQL database with the extension pgvector; needs the extra `retrieval`."""

    url: str = Field(
        min_length=1,
        description="How to reach the database: `postgresql://…`, or `$NAME` for what the "
        "environment variable NAME says, so that no password stands in a recipe.",
    )
    table: str = Field(min_length=1, description="Name of the table; `schema.table` if need be.")
    id: str = Field("id", min_length=1, description="Column of the ids.")
    vector: str = Field("vector", min_length=1, description="Column of the vectors.")

    def check(self) -> list[Problem]:
        """The libraries are installed, and the environment variable is set."""
        problems = []
        if missing := [name for name in ("psycopg", "pgvector") if find_spec(name) is None]:
            what, fix = (
                f"{' and '.join(missing)} is not installed",
                "pip install 'bequest[retrieval]'",
            )
            problems.append(Problem(what, fix, ("use",)))
        if self.url.startswith("$") and not os.environ.get(self.url[1:]):
            what = f"the environment variable `{self.url[1:]}` is not set"
            problems.append(Problem(what, "set it to `postgresql://…`", ("url",)))
        return problems

    def read(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """Ids and vectors, in the order of the ids.

        Raises:
            RequestError: the database can't be reached, or there is no such table or column.
        """
        from psycopg import sql

        names = {"id": sql.Identifier(self.id), "vector": sql.Identifier(self.vector)}
        query = sql.SQL("SELECT {id}::text, {vector}::text FROM {table} ORDER BY 1").format(
            **names, table=self._table()
        )
        with self._connected() as connection, connection.cursor("vectors") as cursor:
            cursor.itersize = _ROWS
            try:
                cursor.execute(query)
                return _collected(cursor)
            except self._errors() as error:
                raise RequestError(Problem(_line(error), "check table and columns")) from error

    def write(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """A new table, in one transaction: all of it or nothing.

        Raises:
            RequestError: the database can't be reached, there is such a table already, or ids and
                vectors don't fit.
            StoreError: the work stopped half-way; nothing of it is there.
        """
        from bequest.build.indexed import refuse_unfit

        refuse_unfit(ids, vectors)
        with self._connected() as connection:
            try:
                with connection.transaction():
                    self._fill(connection, ids, vectors)
            except self._errors() as error:
                what = f"table `{self.table}` was not written, nothing of it is there"
                raise StoreError(f"{what}: {_line(error)}") from error

    def _fill(self, connection: Any, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        from pgvector.psycopg import register_vector
        from psycopg import errors, sql

        register_vector(connection)
        names = {"id": sql.Identifier(self.id), "vector": sql.Identifier(self.vector)}
        kind = sql.Literal(int(vectors.shape[1]))
        create = sql.SQL("CREATE TABLE {table} ({id} text PRIMARY KEY, {vector} vector({kind}))")
        copy = sql.SQL("COPY {table} ({id}, {vector}) FROM STDIN WITH (FORMAT BINARY)")
        try:
            connection.execute(create.format(**names, table=self._table(), kind=kind))
        except errors.DuplicateTable as error:
            what, fix = f"there is a table `{self.table}` already", "choose another name"
            raise RequestError(Problem(what, fix, ("table",))) from error
        with connection.cursor().copy(copy.format(**names, table=self._table())) as rows:
            rows.set_types(["text", "vector"])
            for one, vector in zip(ids, vectors, strict=True):
                rows.write_row((one, np.asarray(vector, np.float32)))

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        import psycopg

        if problems := self.check():
            raise RequestError(problems)
        url = os.environ[self.url[1:]] if self.url.startswith("$") else self.url
        try:
            connection = psycopg.connect(url, connect_timeout=_SECONDS)
        except psycopg.Error as error:
            what = f"the database can't be reached: {_line(error)}"
            raise RequestError(Problem(what, "is it running?", ("url",))) from error
        try:
            yield connection
        finally:
            connection.close()

    def _table(self) -> Any:
        from psycopg import sql

        return sql.Identifier(*self.table.split("."))

    def _errors(self) -> type[Exception]:
        import psycopg

        return cast("type[Exception]", psycopg.Error)


def _collected(cursor: Any) -> tuple[list[str], NDArray[np.float32]]:
    ids: list[str] = []
    blocks: list[NDArray[np.float32]] = []
    while rows := cursor.fetchmany(_ROWS):
        ids += [one for one, _ in rows]
        if any(one is None for one in ids[-len(rows) :]):
            raise RequestError(Problem("some rows have no id", field=("id",)))
        try:
            found = [np.fromstring(text[1:-1], np.float32, sep=",") for _, text in rows if text]
        except ValueError as error:
            what = "the column of vectors holds something else"
            raise RequestError(Problem(what, "its type must be vector", ("vector",))) from error
        if len(found) != len(rows) or len({len(vector) for vector in found}) > 1:
            what = "some items have no vector, or one of another length"
            raise RequestError(Problem(what, "all must have the same", ("vector",)))
        blocks.append(np.stack(found))
    if len({block.shape[1] for block in blocks}) > 1:
        raise RequestError(Problem("vectors differ in length", field=("vector",)))
    return ids, np.concatenate(blocks) if blocks else np.zeros((0, 0), np.float32)


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
