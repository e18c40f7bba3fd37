"""The matrix as JSON: what `metrics.json` holds."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from bequest.core.errors import RequestError
from bequest.measure.contrasts import CONTRASTS, METRICS
from bequest.measure.intervals import LEVEL
from bequest.measure.metrics import COSTS, FOUND, SCORES, VARYING
from bequest.measure.rows import GIVEN
from bequest.measure.sequence_metrics import SEQUENCE_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from bequest.measure.intervals import Estimate
    from bequest.measure.matrix import Matrix
    from bequest.measure.metric import Metric
    from bequest.measure.sequences import TaskSequence


def as_json(matrix: Matrix) -> dict[str, Any]:
    """Every metric of every cell, the contrasts that make sense, and what is absent and why.

    Costs that vary from run to run are left out, so equal outcomes give equal text.
    """
    cells, compared = list(_scores(matrix)), list(_contrasts(matrix))
    contrasts = [entry for entry in compared if entry["value"] is not None]
    learned = [_sequence(one) for one in matrix.sequences if len(one.tasks) > 1]
    used = {entry["metric"] for entry in (*cells, *contrasts)}
    used |= {name for entry in learned for name in entry["metrics"]}
    return {
        "schema": 1,
        "interval": {
            "method": "Bayesian bootstrap over units, Student's t over seeds",
            "level": LEVEL,
            "resamples": matrix.resampler.resamples,
            "seed": matrix.resampler.seed,
        },
        "seeds": list(matrix.cells.seeds),
        "tasks": list(matrix.tasks),
        "rows": [asdict(row) for row in matrix.rows],
        "metrics": {m.name: _about(m) for m in METRICS.values() if m.name in used},
        "cells": cells,
        "contrasts": contrasts,
        "changes": list(_changes(matrix)),
        "absent": [*_absent(matrix), *_undefined(compared)],
        "costs": list(_costs(matrix)),
        **({"sequences": learned} if learned else {}),
    }


def _scores(matrix: Matrix) -> Iterator[dict[str, Any]]:
    for task in matrix.tasks:
        for metric in (m.name for m in SCORES):
            for row in range(len(matrix.rows)):
                if matrix.has(metric, row, task):
                    estimate = matrix.value(metric, row, task)
                    yield {"metric": metric, "row": row, "task": task, **_number(estimate)}


def _contrasts(matrix: Matrix) -> Iterator[dict[str, Any]]:
    pairs = _worth_comparing(matrix)
    for task in matrix.tasks:
        for metric in (m.name for m in CONTRASTS):
            here = [(row, other) for row, other in pairs if matrix.has(metric, row, task, other)]
            matrix.prepare(metric, task, here)
            for row, other in here:
                estimate = matrix.value(metric, row, task, other)
                place = {"metric": metric, "row": row, "against": other, "task": task}
                yield {**place, **_number(estimate)}


def _worth_comparing(matrix: Matrix) -> list[tuple[int, int]]:
    """Each whole row with the state before it and with every input model; those with none."""
    whole = [(i, row.line) for i, row in enumerate(matrix.rows) if row.checkpoint is None]
    given = [i for i, line in whole if line == GIVEN]
    moved = [i for i, line in whole if line != GIVEN]
    pairs: Iterable[tuple[int, int]] = (
        *matrix.comparisons(),
        *((row, other) for row in moved for other in given),
    )
    return sorted(set(pairs))


def _changes(matrix: Matrix) -> Iterator[dict[str, Any]]:
    for change in matrix.changes():
        yield {
            "row": change.row,
            "against": change.reference,
            "task": change.task,
            "metric": change.metric,
            **_number(change.difference),
            "p": _rounded(change.p, 4),
            "verdict": change.verdict,
        }


def _absent(matrix: Matrix) -> Iterator[dict[str, Any]]:
    for row in range(len(matrix.rows)):
        for task in matrix.tasks:
            if not matrix.cells.seeds_of(row, task):
                why = matrix.cells.why_absent(row, task)
                yield {"row": row, "task": task, "reason": why}
            for metric in (m.name for m in SCORES):
                if why := matrix.why_undefined(metric, row, task):
                    yield {"row": row, "task": task, "metric": metric, "reason": why}


def _undefined(contrasts: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Comparisons without a number, such as the classes of gained samples where none was gained."""
    for one in contrasts:
        if one["value"] is None:
            place = {key: one[key] for key in ("row", "against", "task", "metric")}
            yield {**place, "reason": "it is undefined for these samples"}


def _costs(matrix: Matrix) -> Iterator[dict[str, Any]]:
    names = [metric.name for metric in (*COSTS, *FOUND) if metric.name not in VARYING]
    for row in range(len(matrix.rows)):
        costs = matrix.cells.costs.get(row, {})
        for name in (name for name in names if name in costs):
            yield {"metric": name, "row": row, "value": _rounded(costs[name], 15)}


def _sequence(sequence: TaskSequence) -> dict[str, Any]:
    """R and every metric of tasks learned one after another; why others can't be had."""
    learned = sequence.learned
    found: dict[str, Any] = {
        "step": learned.step,
        "model": learned.model,
        "line": learned.line,
        "tasks": list(learned.tasks),
        "rows": list(learned.own),
        "metrics": {},
        "skipped": {},
    }
    try:
        found |= {"score": sequence.score.name, "R": _lists(sequence.means())}
    except RequestError as error:
        return found | {"score": None, "R": None, "skipped": {"score": str(error)}}
    for metric in SEQUENCE_METRICS:
        try:
            number = _number(sequence.value(metric.name))
        except RequestError as error:
            found["skipped"][metric.name] = str(error)
            continue
        unit, better = metric.unit_for(sequence.score), metric.better_for(sequence.score)
        found["metrics"][metric.name] = {**number, "unit": unit, "better": better}
    return found


def _lists(values: NDArray[np.float64]) -> list[list[float | None]]:
    return [[_rounded(value, 10) for value in row] for row in values.tolist()]


def _about(metric: Metric) -> dict[str, str]:
    return {
        "unit": metric.unit,
        "better": metric.better,
        "definition": metric.definition,
        "source": metric.source,
    }


def _number(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": _rounded(estimate.value, 10),
        "low": _rounded(estimate.low, 4),
        "high": _rounded(estimate.high, 4),
        "n": estimate.n,
        "units": estimate.units,
        "by_seed": [_rounded(value, 10) for value in estimate.seeds],
    }


def _rounded(value: float, figures: int) -> float | None:
    """The value to so many figures: what a processor's order of summation can't change."""
    return float(f"{value:.{figures}g}") if isfinite(value) else None
