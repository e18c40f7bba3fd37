"""Small matrices of tasks learned one after another, made by hand."""

import numpy as np

from bequest.core.outcomes import Outcomes
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.sequences import find_sequence
from bequest.measure.table import Cells

TASKS = ("a", "b", "c")
HAND = np.array([[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.6, 0.9, 0.7]])
BETTER = np.array([[0.9, 0.2, 0.1], [0.8, 0.8, 0.3], [0.9, 0.8, 0.7]])
GIVEN = Row("given", "student", "student", line="given")


def ids(task, n=100):
    return np.random.default_rng(ord(task)).integers(-(2**62), 2**62, n)


def right(task, share, n=100, seed=0, unit=None):
    """Answers of which exactly this share is right."""
    order = np.random.default_rng([seed, ord(task)]).permutation(n)
    return Outcomes(ids(task, n), {"correct": order < round(share * n)}, unit=unit)


def steps(name, line="main", first=1):
    return [
        Row(name, f"after {t}", "student", learned=t, line=line, order=first + i)
        for i, t in enumerate(TASKS)
    ]


def built(rows, scores, seeds=(0,), tasks=TASKS):
    """A matrix of rows with these shares of right answers, [rows, tasks]; NaN is not measured."""
    outcomes = {
        (i, task, seed): right(task, scores[i][j], seed=i * (seed + 1))
        for i in range(len(rows))
        for j, task in enumerate(tasks)
        for seed in seeds
        if not np.isnan(scores[i][j])
    }
    return Matrix(Cells(tuple(rows), tuple(tasks), tuple(seeds), outcomes))


def hand(seeds=(0,)):
    return built([GIVEN, *steps("cuber")], [[0.1] * 3, *HAND], seeds)


def two():
    rows = [GIVEN, *steps("sequential"), *steps("cuber", first=4)]
    return built(rows, [[0.1] * 3, *HAND, *BETTER])


def value(matrix, metric, address=None):
    return find_sequence(matrix, address).value(metric).value


def copied(matrix):
    return {
        (row, task, seed): matrix.cells.outcomes[row if row < 4 else row - 3, task, seed]
        for row, task, seed in matrix.cells.outcomes
    }
