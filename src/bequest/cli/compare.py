"""`bequest compare RUN RUN …`: finished runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bequest.cli.output import Json, console, print_json
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.measure.intervals import Estimate
    from bequest.measure.matrix import Matrix


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs; the first leads.")],
    html: Annotated[
        Path | None, typer.Option(help="Write a page of them side by side to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the last main stage of several runs, sample by sample with the first."""
    from bequest.report.terminal import compared
    from bequest.runner.result import Run

    if len(runs) < 2:
        raise RequestError(Problem("one run can't be compared", "name two or more"))
    if len({str(path) for path in runs}) < len(runs):
        raise RequestError(Problem("a run is named twice", "name each once"))
    matrices = {str(path): Run(path).matrix for path in runs}
    if html:
        from bequest.report.page import write_comparison

        short = len({path.name for path in runs}) == len(runs)
        write_comparison({path.name if short else str(path): path for path in runs}, html)
    metrics = _metrics(list(matrices.values()))
    first, *others = matrices
    beside = {name: _differences(matrices[name], matrices[first], metrics) for name in others}
    if as_json:
        print_json(_as_json(matrices, beside, metrics))
        return
    out = console()
    for table in compared(out, matrices, beside, metrics):
        out.print(table)


def _metrics(matrices: Sequence[Matrix]) -> dict[str, str]:
    """For each task the score by which the first run that has one judges it."""
    found: dict[str, str] = {}
    for matrix in matrices:
        own = {task: metric for task in matrix.tasks if (metric := matrix.primary(task))}
        found = {**own, **found}
    return {task: found[task] for matrix in matrices for task in matrix.tasks if task in found}


def _differences(mine: Matrix, first: Matrix, metrics: Mapping[str, str]) -> dict[str, Estimate]:
    from bequest.measure.beside import beside
    from bequest.report.terminal import last_main

    rows = last_main(mine), last_main(first)
    if rows[0] is None or rows[1] is None:
        return {}
    both = beside(mine, rows[0], first, rows[1])
    return {
        task: both.value(metric, 0, task, 1)
        for task, metric in metrics.items()
        if task in both.tasks and both.has(metric, 0, task, 1)
    }


def _as_json(
    matrices: Mapping[str, Matrix],
    beside: Mapping[str, Mapping[str, Estimate]],
    metrics: Mapping[str, str],
) -> list[dict[str, Any]]:
    from bequest.report.terminal import last_main

    rows = []
    for name, matrix in matrices.items():
        row = last_main(matrix)
        cells = {}
        for task in matrix.tasks:
            metric = metrics.get(task)
            if metric and row is not None and matrix.has(metric, row, task):
                difference = beside.get(name, {}).get(task)
                cells[task] = {
                    "metric": metric,
                    **_numbers(matrix.value(metric, row, task)),
                    "difference": _numbers(difference) if difference else None,
                }
        stage = matrix.rows[row].title if row is not None else None
        rows.append({"run": name, "stage": stage, "tasks": cells})
    return rows


def _numbers(found: Estimate) -> dict[str, Any]:
    """An estimate for JSON; an end of an interval that is not finite is null."""
    from dataclasses import asdict
    from math import isfinite

    ends = {name: end for name in ("low", "high") if not isfinite(end := getattr(found, name))}
    return asdict(found) | dict.fromkeys(ends)
