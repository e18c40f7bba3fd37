"""Matrices of invented answers."""

import json

import numpy as np

from bequest.core.outcomes import Outcomes
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.table import Cells

ROWS = (
    Row("given", "teacher", "teacher", line="given", order=0),
    Row("given", "student", "student", line="given", order=1),
    Row("alone", "trained", "student", learned="digits", line="alone", order=2, after=1),
    Row("distil", "epoch 1", "student", order=3, at={"epoch": 1.0}, after=1),
    Row("distil", "trained", "student", learned="digits", order=4, after=3),
)
IDS = np.random.default_rng(9).integers(-(2**62), 2**62, 120)


def answers(seed, share, ids=IDS, **more):
    rng = np.random.default_rng(seed)
    n = len(ids)
    columns = {
        "correct": rng.random(n) < share,
        "nll": rng.exponential(size=n),
        "confidence": rng.random(n),
        "predicted": rng.integers(0, 10, n),
    }
    return Outcomes(ids, columns, labels=("a", "b"), **more)


def invented(seeds=(0, 1), task="digits"):
    outcomes = {
        (row, task, seed): answers([row, seed], 0.5 + row / 10)
        for row in range(len(ROWS))
        for seed in seeds
    }
    costs = {0: {"parameters": 1e6, "bytes": 4e6, "seconds": 2.5, "peak_memory": 1e9}}
    absent = {(row, "other"): "asks for embed" for row in range(len(ROWS))}
    return Cells(ROWS, (task, "other"), tuple(seeds), outcomes, absent, costs)


def shares(*columns, units=None):
    """A matrix whose rows have these answers, given as strings of 0 and 1."""
    rows = tuple(
        Row("step", f"s{i}", "student", order=i, after=i - 1 if i else None)
        for i in range(len(columns))
    )
    outcomes = {
        (i, "t", 0): Outcomes(
            np.arange(len(bits)), {"correct": np.array(list(map(int, bits)))}, unit=units
        )
        for i, bits in enumerate(columns)
    }
    return Matrix(Cells(rows, ("t",), (0,), outcomes))


def as_text(matrix):
    return json.dumps(matrix.to_json(), allow_nan=False)
