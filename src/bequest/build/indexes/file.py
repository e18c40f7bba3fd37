"""Vectors in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from bequest.build.paths import located, not_a_file
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import IndexSpec
from bequest.lazy import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class File(IndexSpec):
    """Vectors in a `.npy` file (memory-mapped) with ids beside it, or in a `.parquet` file."""

    path: str = Field(min_length=1, description="The file with the vectors, one a row.")
    ids: str | None = Field(
        None, description="Of a `.npy` file: text file with the id of each row, one a line."
    )
    id: str = Field("id", min_length=1, description="Of a `.parquet` file: column of the ids.")
    vector: str = Field(
        "vector", min_length=1, description="Of a `.parquet` file: column of the vectors."
    )

    def check(self) -> list[Problem]:
        """The ending says what it is, and a `.npy` file has ids."""
        if not self.path.endswith((".npy", ".parquet")):
            return [Problem(f"`{self.path}` ends neither in .npy nor in .parquet", field=("path",))]
        if self.path.endswith(".npy") and self.ids is None:
            fix = "name a text file with the id of each row, one a line"
            return [Problem("a .npy file says nothing of whose its rows are", fix, ("ids",))]
        return []

    def read(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """Ids and vectors.

        Raises:
            RequestError: a file can't be read, or ids and vectors don't fit.
        """
        files = {"path": self.path} | ({"ids": self.ids} if self.ids else {})
        missing = [
            *self.check(),
            *(one for f, path in files.items() for one in not_a_file(path, f)),
        ]
        if missing:
            raise RequestError(missing)
        ids, vectors = self._npy() if self.path.endswith(".npy") else self._parquet()
        if vectors.ndim != 2 or vectors.dtype.kind != "f" or len(ids) != len(vectors):
            what = f"`{self.path}` holds {list(vectors.shape)} {vectors.dtype} for {len(ids)} ids"
            raise RequestError(Problem(what, "it must be [ids, width] floats", ("path",)))
        return ids, vectors

    def write(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Both files, or the one; whole or not at all.

        Raises:
            RequestError: one is there already, ids and vectors don't fit, or an id that is to
                stand in a text file has a line break in it.
            StoreError: it could not be written.
        """
        from bequest.build.indexed import refuse_unfit
        from bequest.store.files import atomic, write_text

        if problems := self.check():
            raise RequestError(problems)
        refuse_unfit(ids, vectors)
        for path in filter(None, (self.path, self.ids)):
            if located(path).exists():
                raise RequestError(Problem(f"`{path}` is there already", "choose another name"))
        if self.path.endswith(".parquet"):
            self._write_parquet(ids, vectors)
            return
        if broken := [one for one in ids if one.splitlines() not in ([], [one])]:
            what = f"the id {broken[0][:60]!r} has a line break in it"
            raise RequestError(Problem(what, "write a `.parquet` file", ("path",)))
        with atomic(located(self.path)) as temporary, temporary.open("wb") as file:
            np.save(file, np.asarray(vectors, np.float32), allow_pickle=False)
            write_text(located(str(self.ids)), "".join(f"{one}\n" for one in ids))

    def _npy(self) -> tuple[list[str], NDArray[Any]]:
        try:
            vectors = np.load(located(self.path), mmap_mode="r", allow_pickle=False)
            text = located(str(self.ids)).read_text(encoding="utf-8-sig")
        except (OSError, EOFError, ValueError) as error:
            raise RequestError(Problem(f"`{self.path}`: {error}", field=("path",))) from error
        if not isinstance(vectors, np.ndarray):
            raise RequestError(Problem(f"`{self.path}` holds several arrays", field=("path",)))
        return text.splitlines(), vectors

    def _parquet(self) -> tuple[list[str], NDArray[Any]]:
        import pyarrow
        import pyarrow.parquet

        from bequest.build.indexed import from_arrow

        try:
            table = pyarrow.parquet.read_table(located(self.path), columns=[self.id, self.vector])
        except (OSError, pyarrow.ArrowException) as error:
            raise RequestError(Problem(f"`{self.path}`: {error}", field=("path",))) from error
        return from_arrow(table, self.id, self.vector)

    def _write_parquet(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        import pyarrow.parquet

        from bequest.build.indexed import batches_of, schema_of
        from bequest.store.files import atomic

        schema = schema_of(self.id, self.vector, vectors.shape[1])
        with (
            atomic(located(self.path)) as temporary,
            pyarrow.parquet.ParquetWriter(temporary, schema) as writer,
        ):
            for batch in batches_of(ids, vectors, schema):
                writer.write_batch(batch)
