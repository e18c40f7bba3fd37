"""The course of loss terms: from the curves of a finished run, or the journal of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.core.errors import StoreError
from bequest.runner.doctor.finding import NotAtHand
from bequest.store.files import read_sealed
from bequest.store.tensors import unflatten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Point(NamedTuple):
    """One term at one moment of a fit; `share` of the gradient, None where it was not measured."""

    step: str
    seed: int
    fit: str
    term: str
    weight: float
    value: float
    share: float | None


def points_of_run(path: Path) -> list[Point]:
    """The points of `curves.parquet`.

    Raises:
        StoreError: it can't be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
        return [
            _point(row["stage"].partition(".")[0], row["seed"], f"{row['stage']} {row['fit']}", row)
            for row in rows
        ]
    except (OSError, pa.ArrowException, LookupError) as error:
        raise StoreError(f"{path} can't be read: {error}") from error


def points_of_journal(folder: Path) -> list[Point]:
    """The points of all fits that a run has finished so far.

    Raises:
        NotAtHand: there is none.
    """
    found = [*_of_steps(folder), *_of_fits(folder)]
    if not found:
        raise NotAtHand("no fit has finished yet, so no course of a loss is known")
    return found


def _of_steps(folder: Path) -> Iterator[Point]:
    for path in sorted(folder.glob("seed-*/*-step-*.json")):
        for row in _result(path):
            for number, fit in enumerate(row["curves"]):
                name = f"{row['step']}.{row['name']} {number}"
                yield from _points(row["step"], path.parent, name, fit)


def _of_fits(folder: Path) -> Iterator[Point]:
    for path in sorted(folder.glob("seed-*/*/*-fit-*.json")):
        step = path.parent
        yield from _points(step.name, step.parent, path.stem, _result(path)["curves"])


def _result(path: Path) -> Any:
    return read_sealed(path)["result"]


def _points(step: str, seed: Path, fit: str, curve: Any) -> Iterator[Point]:
    for row in unflatten(curve, {}):
        yield _point(step, int(seed.name.removeprefix("seed-")), fit, row)


def _point(step: str, seed: int, fit: str, row: dict[str, Any]) -> Point:
    return Point(step, seed, fit, row["term"], row["weight"], row["value"], row["share"])
