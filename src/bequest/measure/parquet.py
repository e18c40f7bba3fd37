"""`outcomes.parquet`: all cells of a run in one file that any Parquet reader opens.

One line per row, task, seed and sample; what a task does not record is null. The description of
the rows, and how many lines each cell has, is JSON in the metadata of the schema.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import StoreError
from bequest.core.outcomes import Outcomes
from bequest.measure.rows import Row
from bequest.measure.table import Cells
from bequest.store.files import atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

KEY = b"bequest"
LARGEST = 2**34  # bytes of numbers; more is no run's outcomes but a damaged or hostile file
_PLACE = ("row", "task", "seed")
_WORDS = ["task", "group"]
_OWN = (*_PLACE, "sample", "unit", "group", "draw")


def write(cells: Cells, path: Path) -> None:
    """Write the whole file or nothing; the same cells give the same bytes.

    Floats are stored as float32.

    Raises:
        StoreError: the file can't be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    order = _order(cells)
    about = json.dumps(_about(cells, order), sort_keys=True)
    columns = _columns(cells, order)
    table = pa.table(columns).replace_schema_metadata({KEY: about.encode()})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read(path: Path) -> Cells:
    """The cells that `write` wrote.

    Raises:
        StoreError: the file is missing, damaged, or not one of bequest's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, read_dictionary=_WORDS, page_checksum_verification=True) as file:
            about = json.loads(file.schema_arrow.metadata[KEY])
            shape = file.metadata.num_rows, file.metadata.num_columns
            if shape[0] * shape[1] * 8 > LARGEST:
                raise ValueError(f"{shape[0]} lines of {shape[1]} columns are too many")
            return _cells(about, file.read(use_threads=False).combine_chunks())
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} can't be read: {error}") from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise StoreError(
            f"{path} is damaged, or not the outcomes of a bequest run: {error}"
        ) from error


def _order(cells: Cells) -> list[tuple[int, str, int]]:
    tasks = {task: i for i, task in enumerate(cells.tasks)}
    return sorted(cells.outcomes, key=lambda key: (tasks[key[1]], key[0], key[2]))


def _about(cells: Cells, order: Sequence[tuple[int, str, int]]) -> dict[str, Any]:
    return {
        "schema": 1,
        "rows": [asdict(row) for row in cells.rows],
        "tasks": cells.tasks,
        "seeds": cells.seeds,
        "cells": [[*key, len(cells.outcomes[key])] for key in order],
        "labels": {task: _labels(cells, task) for task in cells.tasks},
        "absent": [[row, task, why] for (row, task), why in sorted(cells.absent.items())],
        "costs": [[row, dict(costs)] for row, costs in sorted(cells.costs.items())],
    }


def _labels(cells: Cells, task: str) -> tuple[str, ...]:
    return next((out.labels for (_, name, _), out in cells.outcomes.items() if name == task), ())


def _columns(cells: Cells, order: Sequence[tuple[int, str, int]]) -> dict[str, Any]:
    import pyarrow as pa

    outcomes = [cells.outcomes[key] for key in order]
    sizes = [len(one) for one in outcomes]
    rows, tasks, seeds = zip(*order, strict=True) if order else ((), (), ())
    columns = {
        "row": pa.array(np.repeat(np.array(rows, np.int32), sizes)),
        "task": pa.array(np.repeat(np.array(tasks, np.object_), sizes), pa.string()),
        "seed": pa.array(np.repeat(np.array(seeds, np.int64), sizes)),
        "sample": _joined([one.sample for one in outcomes], sizes, pa.int64()),
        "unit": _joined([one.unit for one in outcomes], sizes, pa.int64()),
        "group": _joined([_strings(one.group) for one in outcomes], sizes, pa.string()),
        "draw": _joined([one.draw for one in outcomes], sizes, pa.int32()),
    }
    for name in sorted({name for one in outcomes for name in one.columns}):
        if name in _OWN:
            raise ValueError(f"a task can't record a column named {name}")
        parts = [one.columns.get(name) for one in outcomes]
        columns[name] = _joined(parts, sizes, _type([part for part in parts if part is not None]))
    return columns


def _strings(group: NDArray[np.str_] | None) -> NDArray[np.object_] | None:
    return None if group is None else group.astype(np.object_)


def _type(parts: Sequence[NDArray[Any]]) -> Any:
    import pyarrow as pa

    common = np.result_type(*parts)
    if common.kind == "f":
        return pa.float32()
    return pa.int8() if common.kind == "b" else pa.from_numpy_dtype(common)


def _joined(parts: Sequence[NDArray[Any] | None], sizes: Sequence[int], kind: Any) -> Any:
    import pyarrow as pa

    chunks = [
        pa.nulls(size, kind) if part is None else pa.array(part).cast(kind, safe=False)
        for part, size in zip(parts, sizes, strict=True)
    ]
    return pa.chunked_array(chunks, kind).combine_chunks()


def _cells(about: Mapping[str, Any], table: Any) -> Cells:
    if about["schema"] != 1:
        raise ValueError(f"its schema is {about['schema']}, this version reads 1")
    layout = [(int(row), str(task), int(seed), int(n)) for row, task, seed, n in about["cells"]]
    _check(layout, table)
    columns = {name: table.column(name).chunk(0) for name in table.column_names if layout}
    outcomes, start = {}, 0
    for row, task, seed, size in layout:
        parts = {name: _part(name, column.slice(start, size)) for name, column in columns.items()}
        outcomes[row, task, seed] = _outcomes(parts, tuple(map(str, about["labels"][task])))
        start += size
    return Cells(
        rows=tuple(_row(row, index) for index, row in enumerate(about["rows"])),
        tasks=tuple(map(str, about["tasks"])),
        seeds=tuple(map(int, about["seeds"])),
        outcomes=outcomes,
        absent={(int(row), str(task)): str(why) for row, task, why in about["absent"]},
        costs={
            int(row): {str(name): float(value) for name, value in costs.items()}
            for row, costs in about["costs"]
        },
    )


def _row(told: Mapping[str, Any], index: int) -> Row:
    row = Row(**told)
    words = (row.step, row.name, row.of, row.line, row.learned or "")
    before = row.after is None or (type(row.after) is int and 0 <= row.after < index)
    marks = all(isinstance(mark, int | float | str) for mark in row.at.values())
    if not (before and marks and type(row.order) is int and all(type(w) is str for w in words)):
        raise ValueError("a row is described as none can be")
    return row


def _check(layout: Sequence[tuple[int, str, int, int]], table: Any) -> None:
    """The description and the lines must tell the same."""
    sizes = [size for *_, size in layout]
    if min(sizes, default=1) < 1 or sum(sizes) != table.num_rows:
        raise ValueError("the number of lines is not what its description says")
    if len({cell[:3] for cell in layout}) != len(layout):
        raise ValueError("a cell is described twice")
    for i, name in enumerate(_PLACE):
        told = np.repeat(np.array([cell[i] for cell in layout]), sizes)
        if layout and not np.array_equal(told, _numbers(name, table.column(name).chunk(0))):
            raise ValueError(f"column {name} is not what its description says")


def _part(name: str, column: Any) -> NDArray[Any] | None:
    if column.null_count == len(column):
        return None
    if column.null_count:
        raise ValueError(f"column {name} has holes")
    return _numbers(name, column)


def _numbers(name: str, column: Any) -> NDArray[Any]:
    # not to_numpy(): that imports pandas where it is installed, and takes longer than the gate
    if name in _WORDS:
        words = np.array(column.dictionary.to_pylist(), np.str_)
        return np.asarray(words[np.from_dlpack(column.indices)])
    return np.asarray(np.from_dlpack(column))


def _outcomes(parts: Mapping[str, NDArray[Any] | None], labels: tuple[str, ...]) -> Outcomes:
    sample = parts["sample"]
    if sample is None:
        raise ValueError("it has no sample ids")
    return Outcomes(
        sample=sample,
        columns={k: v for k, v in parts.items() if k not in _OWN and v is not None},
        unit=parts["unit"],
        group=parts["group"],
        draw=parts["draw"],
        labels=labels,
    )
