"""How often "surely" is said where nothing differs: `python tests/simulations/surely.py`.

Two arms of one method are measured on the same samples, under seeds that move each arm's skill.
As methods they are equal, so every "surely" of `Matrix.changes()` is false. With one seed a
statement is about two given models, so there these are equally good: no seed moves them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys

import numpy as np

from bequest.core.outcomes import Outcomes
from bequest.measure.intervals import Resampler
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.table import Cells

# Two arms, each trained from the same model; only these are compared with each other.
ROWS = (
    Row("other", "trained", "model", line="other", order=1),
    Row("asked", "trained", "model", order=2),
)
SEEDS, SIZES = (1, 2, 3, 5, 8), (20, 100, 500, 2000)
MOST = 0.06  # of the trials may hold a false "surely"
TASK = "task"


def share(rng, hard, skill):
    """Right answers, four in five; `skill` moves their share by as much."""
    right = hard + rng.normal(size=len(hard)) < 1.19 + skill / 0.198
    return {"correct": right.astype(np.uint8)}


def skewed(rng, hard, skill):
    """Losses of texts, one token each, with a long upper tail."""
    loss = np.exp(0.7 * hard + 0.7 * rng.normal(size=len(hard)) + 4 * skill)
    return {"text_nll": loss.astype(np.float32), "tokens": np.ones(len(hard), np.int32)}


def pairs(rng, hard, skill):
    """Scores of right and wrong answers: how often is one of the right ones higher?"""
    right = np.arange(len(hard)) % 2
    scores = right * (1.2 + 4 * skill) + hard + rng.normal(size=len(hard))
    return {"log_odds": scores.astype(np.float32), "right": right.astype(np.uint8)}


KINDS = {"share": share, "skewed": skewed, "pairs": pairs}


def matrix(rng, kind, seeds, samples, *, deviation, together, tasks=1):
    """A matrix in which nothing differs.

    deviation: of an arm's skill between seeds; together: the part of its variance that both arms
    have in common.
    """
    names = [f"{TASK}{number}" for number in range(tasks)]
    outcomes = {}
    for name, seed in itertools.product(names, range(seeds)):
        if seed == 0:
            hard = rng.normal(size=samples)
        common = rng.normal()
        for row in range(len(ROWS)):
            own = together**0.5 * common + (1 - together) ** 0.5 * rng.normal()
            columns = KINDS[kind](rng, hard, deviation * own)
            outcomes[row, name, seed] = Outcomes(np.arange(samples), columns)
    cells = Cells(ROWS, tuple(names), tuple(range(seeds)), outcomes)
    return Matrix(cells, RESAMPLER)


RESAMPLER = Resampler()


def false_share(kind, seeds, samples, trials, **settings):
    """The share of trials with any "surely"."""
    rng = np.random.default_rng([seeds, samples, len(kind), settings.get("tasks", 1)])
    if seeds == 1:
        settings["deviation"] = 0.0
    return np.mean([
        any(change.verdict != "can't be told" for change in
            matrix(rng, kind, seeds, samples, **settings).changes())
        for _ in range(trials)
    ])  # fmt: skip


def cases(sizes=SIZES, seeds=SEEDS):
    """Everything that is simulated."""
    for kind, count, samples in itertools.product(KINDS, seeds, sizes):
        for deviation, together in ((0.015, 0.0), (0.03, 0.0), (0.03, 0.9)):
            if count > 1 or deviation == 0.015:
                yield {"kind": kind, "seeds": count, "samples": samples, "tasks": 1,
                       "deviation": deviation, "together": together}  # fmt: skip
        if samples <= 500:
            yield {"kind": kind, "seeds": count, "samples": samples, "tasks": 10,
                   "deviation": 0.015, "together": 0.0}  # fmt: skip


def main():
    """Print every case with its share of false marks; 1 where one is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--samples", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    asked = parser.parse_args()
    over = 0
    for case in cases(asked.samples, asked.seeds):
        found = false_share(trials=asked.trials, **case)
        error = (MOST * (1 - MOST) / asked.trials) ** 0.5
        over += found > MOST + 2 * error
        print(json.dumps({**case, "false": round(float(found), 4)}), flush=True)
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
