"""How fast the matrix is: 20 stages x 20 tasks x 10,000 samples x 1,000 resamples.

The floor is what no implementation can leave out: drawing the weights and one product for each
task and metric; both are timed in turn, in one process.
"""

from __future__ import annotations

import json
import resource
import statistics
import time
from typing import Any

import numpy as np

from bequest.core.outcomes import Outcomes
from bequest.measure.intervals import Resampler
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.table import Cells

STAGES, TASKS, SAMPLES, RESAMPLES, ROUNDS = 20, 20, 10_000, 1_000, 3


def invented() -> Cells:
    """A run with random answers."""
    rng = np.random.default_rng(0)
    tasks = tuple(f"task{i}" for i in range(TASKS))
    rows = tuple(Row("learn", f"after {task}", "student", order=i) for i, task in enumerate(tasks))
    outcomes = {}
    for task in tasks:
        ids = rng.integers(-(2**62), 2**62, SAMPLES)
        for row in range(STAGES):
            columns = {
                "correct": rng.random(SAMPLES) < 0.5 + row / 50,
                "nll": rng.standard_exponential(SAMPLES, dtype=np.float32),
            }
            outcomes[row, task, 0] = Outcomes(ids, columns)
    return Cells(rows, tasks, (0,), outcomes)


def measure(cells: Cells) -> int:
    """All intervals and all paired differences to the row before; returns how many."""
    matrix = Matrix(cells, Resampler(resamples=RESAMPLES))
    estimates = [
        matrix.value(metric, row, task, against)
        for task in matrix.tasks
        for metric in ("accuracy", "cross_entropy")
        for row in range(STAGES)
        for against in ((None, row - 1) if row else (None,))
    ]
    return len(estimates)


def floor() -> None:
    """Draw the weights once and multiply."""
    rng = np.random.default_rng(0)
    weights = rng.standard_exponential((RESAMPLES, SAMPLES), dtype=np.float32)
    columns = np.ones((SAMPLES, STAGES), np.float32)
    for _ in range(2 * TASKS):
        weights @ columns


def bench() -> dict[str, Any]:
    """Seconds of both (median of interleaved rounds), their ratio, and peak memory in MiB."""
    cells = invented()
    ours, least = [], []
    for _ in range(ROUNDS):
        least.append(_seconds(floor))
        ours.append(_seconds(lambda: measure(cells)))
    seconds, floor_seconds = statistics.median(ours), statistics.median(least)
    return {
        "name": "matrix",
        "seconds": round(seconds, 3),
        "floor_seconds": round(floor_seconds, 3),
        "ratio": round(seconds / floor_seconds, 2),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "limits": {"seconds": 2.0, "peak_mib": 1024},
        "rounds": {"seconds": ours, "floor_seconds": least},
    }


def _seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps(bench(), indent=2))
