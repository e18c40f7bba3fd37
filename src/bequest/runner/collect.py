"""From the records of all seeds to the cells of one matrix and the curves of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.core.errors import RunError
from bequest.core.outcomes import Outcomes
from bequest.measure.rows import Row
from bequest.measure.table import Cells
from bequest.runner.transcripts import unpacked
from bequest.store.files import atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bequest.runner.preparing import Prepared

    Records = Mapping[int, Sequence[dict[str, Any]]]

_SAME = ("step", "name", "of", "learned", "line", "at", "after")


def collect(records: Records, prepared: Prepared) -> Cells:
    """The cells of a run, from each seed's rows.

    Raises:
        RunError: the seeds gave different stages.
    """
    first = next(iter(records.values()))
    for seed, rows in records.items():
        if [_address(row) for row in rows] != [_address(row) for row in first]:
            raise RunError(f"seed {seed} gave other stages than the first; a method must not")
    absent = _absent(records)
    outcomes = {
        (index, task, seed): _outcomes(cell, prepared.tasks[task].labels)
        for seed, rows in records.items()
        for index, row in enumerate(rows)
        for task, cell in row["cells"].items()
        if (index, task) not in absent
    }
    return Cells(
        rows=tuple(_row(row, order) for order, row in enumerate(first)),
        tasks=tuple(prepared.asked),
        seeds=tuple(records),
        outcomes=outcomes,
        absent=absent,
        costs={index: _mean_costs(records, index) for index in range(len(first))},
    )


def write_curves(records: Records, path: Path) -> None:
    """The course of every loss term, one row a point, as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    points = [
        {"stage": f"{row['step']}.{row['name']}", "seed": seed, "fit": number, **point}
        for seed, rows in records.items()
        for row in rows
        for number, fit in enumerate(row["curves"])
        for point in fit
    ]
    types = {
        "stage": pa.string(),
        "seed": pa.int64(),
        "fit": pa.int64(),
        "step": pa.int64(),
        "term": pa.string(),
        "weight": pa.float64(),
        "value": pa.float64(),
        "share": pa.float64(),
    }
    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_pylist(points, pa.schema(list(types.items()))), temporary)


def _absent(records: Records) -> dict[tuple[int, str], str]:
    """Why cells can't be measured: under any seed, as a mean over the others would hide it."""
    reasons: dict[tuple[int, str], dict[str, list[int]]] = {}
    for seed, rows in records.items():
        for index, row in enumerate(rows):
            for task, why in row["absent"].items():
                reasons.setdefault((index, task), {}).setdefault(why, []).append(seed)
    return {place: _reason(found, len(records)) for place, found in reasons.items()}


def _reason(found: Mapping[str, Sequence[int]], seeds: int) -> str:
    """The reasons of one cell; under which seeds, where they are not those of all."""
    if [len(own) for own in found.values()] == [seeds]:
        return next(iter(found))
    return "; ".join(f"under seed {', '.join(map(str, own))}: {why}" for why, own in found.items())


def _address(row: dict[str, Any]) -> list[Any]:
    return [row[key] for key in _SAME]


def _row(row: dict[str, Any], order: int) -> Row:
    return Row(**{key: row[key] for key in _SAME}, order=order)


def _outcomes(cell: Mapping[str, Any], labels: tuple[str, ...]) -> Outcomes:
    import numpy as np

    group = cell["group"]
    return Outcomes(
        sample=cell["sample"],
        columns=cell["columns"],
        unit=cell["unit"],
        group=None if group is None else np.array(group),
        draw=cell["draw"],
        labels=labels,
        transcript=None if cell["transcript"] is None else unpacked(cell["transcript"]),
        shown=cell["shown"],
    )


def _mean_costs(records: Records, index: int) -> dict[str, float]:
    costs = [rows[index]["costs"] for rows in records.values()]
    return {name: sum(cost[name] for cost in costs) / len(costs) for name in costs[0]}
