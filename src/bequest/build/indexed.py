"""Vectors that lie in a user's index, put in the order of a task's items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bequest.core.parts import IndexSpec

_SHOWN = 5
_AT_ONCE = 1 << 16
_ROWS = 8192  # written at a time


def lined_up(index: IndexSpec, items: Sequence[str]) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The stored vector of every item, [items, width], and what was left out, for a note.

    Memory-mapped where they lie in a file and in this order.

    Raises:
        RequestError: the index can't be read, an id is there twice, an item has no vector, or a
            number in one is not finite.
    """
    try:
        ids, vectors = index.read()
        rows = _rows(ids, items)
        found = vectors if np.array_equal(rows, np.arange(len(vectors))) else vectors[rows]
        refuse_not_finite(found, items)
        found = np.asarray(found, np.float32)  # no copy where they are so
    except RequestError as error:
        raise RequestError([problem.under("index") for problem in error.problems]) from error
    known = frozenset(items)
    others = [one for one in ids if one not in known] if len(ids) > len(rows) else []
    if not others:
        return found, ()
    return found, (f"{len(others)} vectors of the index belong to no item ({_some(others)})",)


def refuse_twice(ids: Sequence[str]) -> None:
    """Say which ids are there more than once.

    Raises:
        RequestError: some are.
    """
    if len(set(ids)) == len(ids):
        return
    seen: set[str] = set()
    twice = list(dict.fromkeys(one for one in ids if one in seen or seen.add(one)))  # type: ignore[func-returns-value]
    what = f"{len(twice)} ids are there more than once ({_some(twice)})"
    raise RequestError(Problem(what, "each item must have one vector"))


def refuse_not_finite(vectors: NDArray[Any], ids: Sequence[str]) -> None:
    """Say which vectors hold NaN or infinity.

    Raises:
        RequestError: some do.
    """
    for start in range(0, len(vectors), _AT_ONCE):
        with np.errstate(over="ignore"):  # what float32 can't hold is infinite where it is used
            part = np.asarray(vectors[start : start + _AT_ONCE], np.float32)
        good = np.isfinite(part).all(axis=1)
        if not good.all():
            bad = [ids[start + row] for row in np.flatnonzero(~good).tolist()]
            what = f"the vectors of {len(bad)} items hold NaN or infinity ({_some(bad)})"
            raise RequestError(Problem(what, "embed these again"))


def _rows(ids: Sequence[str], items: Sequence[str]) -> NDArray[np.int64]:
    refuse_twice(ids)
    places = {one: row for row, one in enumerate(ids)}
    if missing := [item for item in items if item not in places]:
        what = (
            f"{len(missing)} of {len(items)} items have no vector in the index ({_some(missing)})"
        )
        fix = f"the index has ids such as {_some(list(ids))}" if len(ids) else "the index is empty"
        raise RequestError(Problem(what, fix))
    return np.array([places[item] for item in items], np.int64)


def _some(names: Sequence[str]) -> str:
    more = " …" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name[:60]}`" for name in names[:_SHOWN]) + more


def refuse_unfit(ids: Sequence[str], vectors: NDArray[Any]) -> None:
    """Say what keeps vectors from being written.

    Raises:
        RequestError: ids and vectors differ in number, an id is no text or there twice, or a
            vector is not of finite numbers.
    """
    if not isinstance(vectors, np.ndarray) or vectors.dtype.kind not in "fiu":
        what = f"vectors are {getattr(vectors, 'dtype', type(vectors).__name__)}"
        raise RequestError(Problem(what, "give a NumPy array of numbers, [ids, width]"))
    if vectors.ndim != 2 or len(ids) != len(vectors) or not vectors.shape[1]:
        what = f"there are {len(ids)} ids for vectors of shape {list(vectors.shape)}"
        raise RequestError(Problem(what, "one id for each row"))
    if odd := [one for one in ids if not isinstance(one, str)]:
        raise RequestError(Problem(f"the id {odd[0]!r} is no text", "ids are texts"))
    refuse_twice(ids)
    refuse_not_finite(vectors, ids)


def schema_of(id_column: str, vector_column: str, width: int) -> Any:
    """The columns of a table of vectors, for pyarrow."""
    import pyarrow

    vector = pyarrow.list_(pyarrow.float32(), width)
    return pyarrow.schema([(id_column, pyarrow.string()), (vector_column, vector)])


def batches_of(ids: Sequence[str], vectors: NDArray[Any], schema: Any) -> Iterator[Any]:
    """The rows of a table, some at a time."""
    import pyarrow

    for start in range(0, len(ids), _ROWS):
        block = np.ascontiguousarray(vectors[start : start + _ROWS], np.float32)
        flat = pyarrow.array(block.reshape(-1))
        column = pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        names = pyarrow.array(list(ids[start : start + _ROWS]), pyarrow.string())
        yield pyarrow.record_batch([names, column], schema=schema)


def from_arrow(table: Any, id_column: str, vector_column: str) -> tuple[list[str], NDArray[Any]]:
    """Ids and vectors of a table.

    Raises:
        RequestError: a column isn't there or holds no vectors, ids or vectors are missing, or
            vectors differ in length.
    """
    for field, column in (("id", id_column), ("vector", vector_column)):
        if column not in table.column_names:
            fix = f"there are {', '.join(table.column_names)}"
            meant = did_you_mean(column, table.column_names)
            raise RequestError(Problem(f"there is no column `{column}`", fix, (field,), meant))
    if empty := table.column(id_column).null_count:
        raise RequestError(Problem(f"{empty} rows have no id", field=("id",)))
    _refuse_no_vectors(table.column(vector_column).type, vector_column)
    ids = [str(one) for one in table.column(id_column).to_pylist()]
    column = table.column(vector_column).combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    width = len(flat) // len(ids) if ids else 0
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    if column.null_count or not (lengths == width).all():
        odd = [ids[row] for row in np.flatnonzero(lengths != width).tolist()]
        what = f"the vectors of some items have another length or are missing ({_some(odd)})"
        raise RequestError(Problem(what, "all must have the same", ("vector",)))
    return ids, np.asarray(flat, np.float32).reshape(len(ids), width)


def _refuse_no_vectors(kind: Any, column: str) -> None:
    from pyarrow import types

    tests = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    numbers = any(test(kind) for test in tests) and (
        types.is_floating(kind.value_type) or types.is_integer(kind.value_type)
    )
    if not numbers:
        what = f"the column `{column}` holds {kind}, not vectors"
        raise RequestError(Problem(what, "it must hold lists of numbers", ("vector",)))
