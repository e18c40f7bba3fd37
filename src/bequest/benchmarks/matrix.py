"""How fast the matrix is: 20 stages x 20 tasks x 10,000 samples x 1,000 resamples."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.benchmarks._side_by_side import machine, side_by_side
from bequest.core.outcomes import Outcomes
from bequest.measure.intervals import Resampler
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.table import Cells

if TYPE_CHECKING:
    from bequest.measure.intervals import Estimate

PROMISE = "less than 2 s, and less than 1 GiB in the whole process"
MOST_SECONDS, MOST_MIB = 2.0, 1024
STAGES, TASKS, SAMPLES, RESAMPLES = 20, 20, 10_000, 1_000
METRICS = ("accuracy", "cross_entropy")


def bench(rounds: int = 6, samples: int = SAMPLES) -> dict[str, Any]:
    """All intervals and differences beside what nothing can leave out; then peak memory."""
    cells = invented(samples)
    accuracies = [
        cells.outcomes[row, task, 0].columns["correct"].mean()
        for task in cells.tasks
        for row in range(STAGES)
    ]
    row = side_by_side(
        f"{STAGES} stages x {TASKS} tasks x {samples} samples x {RESAMPLES} resamples",
        {"weights and products alone": lambda: floor(samples), "matrix": lambda: measure(cells)},
        lambda found, _: _same_values(found, accuracies),
        rounds=rounds,
    )
    peak = _peak_mib()
    kept = "void" not in row and row["wall"]["matrix"]["min"] < MOST_SECONDS and peak < MOST_MIB
    return {
        "name": "matrix",
        "promise": PROMISE,
        "kept": kept,
        "rows": [{**row, "peak_mib": peak}],
        "machine": machine(),
    }


def invented(samples: int) -> Cells:
    """A run with random answers, later stages right more often."""
    rng = np.random.default_rng(0)
    tasks = tuple(f"task{i}" for i in range(TASKS))
    rows = tuple(Row("learn", f"after {task}", "student", order=i) for i, task in enumerate(tasks))
    outcomes = {}
    for task in tasks:
        ids = rng.integers(-(2**62), 2**62, samples)
        for row in range(STAGES):
            columns = {
                "correct": rng.random(samples) < 0.5 + row / 50,
                "nll": rng.standard_exponential(samples, dtype=np.float32),
            }
            outcomes[row, task, 0] = Outcomes(ids, columns)
    return Cells(rows, tasks, (0,), outcomes)


def measure(cells: Cells) -> list[Estimate]:
    """All intervals and all paired differences to the row before."""
    matrix = Matrix(cells, Resampler(resamples=RESAMPLES))
    return [
        matrix.value(metric, row, task, against)
        for task in matrix.tasks
        for metric in METRICS
        for row in range(STAGES)
        for against in ((None, row - 1) if row else (None,))
    ]


def floor(samples: int) -> None:
    """Draw the weights once, then one product for each task and metric."""
    rng = np.random.default_rng(0)
    weights = rng.standard_exponential((RESAMPLES, samples), dtype=np.float32)
    columns = np.ones((samples, STAGES), np.float32)
    for _ in range(len(METRICS) * TASKS):
        weights @ columns


def _same_values(found: list[Estimate], accuracies: list[float]) -> bool:
    each_task = 2 * STAGES - 1  # estimates of one metric: rows, and differences of rows
    firsts = range(0, len(found), each_task * len(METRICS))
    singles = [0, *range(1, each_task, 2)]
    values = [found[first + place].value for first in firsts for place in singles]
    return bool(np.allclose(values, accuracies, atol=1e-6))


def _peak_mib() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 2**20
