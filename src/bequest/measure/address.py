"""Which row of the matrix a word in a gate rule means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.measure.rows import GIVEN, MAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bequest.measure.rows import Row


def find_row(rows: Sequence[Row], address: str | None) -> int:
    """The index of the row that `address` names.

    None: the last row of line `main`. Otherwise the first of these that fits: `step.stage`; a
    step (its last row); a stage; a model (its last state in line `main`, else in the only other
    line, else as it was given); a line (its last row).

    Raises:
        RequestError: nothing is called so, or more than one row may be meant.
    """
    if address is None:
        return _only(rows, _last(rows, (i for i, row in enumerate(rows) if row.line == MAIN)), MAIN)
    for candidates in (_titled, _of_step, _named, _of_model, _of_line):
        found = candidates(rows, address)
        if found:
            return _only(rows, found, address)
    known = _words(rows)
    raise RequestError(
        Problem(
            f"no stage or model is called `{address}`",
            f"known are {', '.join(known)}",
            meant=did_you_mean(address, known),
        )
    )


def _titled(rows: Sequence[Row], address: str) -> list[int]:
    return [i for i, row in enumerate(rows) if row.title == address]


def _of_step(rows: Sequence[Row], address: str) -> list[int]:
    own = (i for i, row in enumerate(rows) if row.step == address and row.line != GIVEN)
    return _last(rows, own)


def _named(rows: Sequence[Row], address: str) -> list[int]:
    # input models are found by `_of_model`, which knows their later states as well
    return [i for i, row in enumerate(rows) if row.name == address and row.line != GIVEN]


def _of_model(rows: Sequence[Row], address: str) -> list[int]:
    own = [
        i
        for i, row in enumerate(rows)
        if row.of == address or (row.line == GIVEN and row.name == address)
    ]
    lines = {rows[i].line for i in own}
    moved = {MAIN} if MAIN in lines else lines - {GIVEN} or lines
    return [
        i for line in sorted(moved) for i in _last(rows, (i for i in own if rows[i].line == line))
    ]


def _of_line(rows: Sequence[Row], address: str) -> list[int]:
    return _last(rows, (i for i, row in enumerate(rows) if row.line == address != GIVEN))


def _last(rows: Sequence[Row], own: Iterable[int]) -> list[int]:
    indices = list(own)
    latest = max((rows[i].order for i in indices), default=0)
    return [i for i in indices if rows[i].order == latest]


def _only(rows: Sequence[Row], found: Sequence[int], address: str) -> int:
    if len(found) == 1:
        return found[0]
    if not found:
        raise RequestError(Problem(f"there is no stage in line `{address}`", "name one with `@`"))
    titles = ", ".join(f"{rows[i].title} (line {rows[i].line})" for i in found)
    raise RequestError(
        Problem(f"`{address}` may mean {titles}", "name a stage that is the only one so called")
    )


def _words(rows: Sequence[Row]) -> list[str]:
    titles = (word for row in rows for word in (row.title, row.step, row.name, row.of, row.line))
    return [word for word in dict.fromkeys(titles) if word != GIVEN]
