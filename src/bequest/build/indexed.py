"""Vectors that lie in a user's index, put in the order of a task's items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bequest.core.parts import IndexSpec

_SHOWN = 5
_AT_ONCE = 1 << 16


def lined_up(index: IndexSpec, items: Sequence[str]) -> NDArray[np.float32]:
    """The stored vector of every item, [items, width]; memory-mapped where they lie in a file and
    in this order.

    Raises:
        RequestError: the index can't be read, an id is there twice, an item has no vector, or a
            number in one is not finite.
    """
    try:
        ids, vectors = index.read()
        rows = _rows(ids, items)
        found = vectors if np.array_equal(rows, np.arange(len(vectors))) else vectors[rows]
        refuse_not_finite(found, items)
    except RequestError as error:
        raise RequestError([problem.under("index") for problem in error.problems]) from error
    return found


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
        good = np.isfinite(vectors[start : start + _AT_ONCE]).all(axis=1)
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
