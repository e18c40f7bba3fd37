"""What a claim is made of: values under each seed, demands on them, and the evidence kept.

A claim is a file `test_<method>.py`, or of an audit, with `measure(seed) -> dict[str, float]`,
which solves the controlled problem of the card once and gives its results in percentage points (or
in its own `UNIT`), and `DEMANDS` on them. `python tests/claims [method …]` measures all seeds (or
its own `SEEDS`) and writes `evidence/<method>.json`; the long tier measures one and checks the same
demands.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from bequest.core.find import find, known
from bequest.lazy import torch
from bequest.runner.work import source_of, source_of_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Values = Mapping[str, float]

EVIDENCE = Path(__file__).parents[2] / "evidence"
SEEDS = (0, 1, 2, 3, 4)
SEED_IN_CI = SEEDS[0]


@dataclass(frozen=True)
class Demand:
    """On every seed, `better` is at least `than` plus `by` points.

    Over the seeds, the 95 % interval of the mean difference must also lie above zero, or above
    `by` where that is negative: "not worse than".

    on_average: the mean over seeds is asked for instead, as where one sample is many points.
    """

    better: str
    than: str
    by: float
    on_average: bool = False

    def __str__(self) -> str:
        said = f"{self.better} >= {self.than} {'-' if self.by < 0 else '+'} {abs(self.by):g} points"
        return f"{said}, on average" if self.on_average else said

    def difference(self, values: Values) -> float:
        """How far `better` lies above `than` under one seed."""
        return values[self.better] - values[self.than]

    def judged(self, per_seed: Sequence[Values]) -> dict[str, Any]:
        """The demand with its differences, their mean with a t interval, and whether it held."""
        differences = np.array([self.difference(values) for values in per_seed])
        mean, half = differences.mean(), _half_width(differences)
        enough = (mean if self.on_average else differences.min()) >= self.by
        held = bool(enough and mean - half > min(self.by, 0))
        return {
            "demand": str(self),
            "differences": _rounded(differences),
            "mean": _rounded(mean),
            "interval": _rounded([mean - half, mean + half]),
            "held": held,
        }


def checked(
    measure: Callable[[int], dict[str, float]], demands: Sequence[Demand]
) -> Callable[..., None]:
    """The long tier's test of a claim: every demand holds under one seed.

    Demands on an average are for all seeds together. Those that the evidence says were missed, as
    of a method that is unconfirmed, are not asked for again.
    """
    name = measure.__module__.rpartition("test_")[2]
    of_each = [each for each in demands if not each.on_average and str(each) not in _missed(name)]

    @pytest.mark.long
    def test():
        values = measure(SEED_IN_CI)
        missed = [str(each) for each in of_each if each.difference(values) < each.by]
        assert not missed, values

    return test


def _missed(method: str) -> set[str]:
    path = EVIDENCE / f"{method}.json"
    found = json.loads(path.read_text())["demands"] if path.exists() else []
    return {one["demand"] for one in found if not one["held"]}


def evidence(method: str, per_seed: Mapping[int, Values], claim: Any) -> dict[str, Any]:
    """What is written about a claim, a module; the same values give the same bytes."""
    # As they are written, so that anybody can judge them again.
    values = {
        str(seed): {name: _rounded(value) for name, value in found.items()}
        for seed, found in per_seed.items()
    }
    judged = [demand.judged(list(values.values())) for demand in claim.DEMANDS]
    return {
        "method": method,
        "source": digest(method),
        "torch": str(torch.__version__),
        "unit": getattr(claim, "UNIT", "percentage points"),
        "values": values,
        "demands": judged,
        "held": all(demand["held"] for demand in judged),
    }


def write(record: Mapping[str, Any]) -> Path:
    """Replace the evidence of a method."""
    EVIDENCE.mkdir(exist_ok=True)
    path = EVIDENCE / f"{record['method']}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def digest(method: str) -> str:
    """What the journal knows the source of a method, or of an audit, by."""
    if method in known("methods"):
        return source_of(find("methods", method)())["method source"]
    return source_of_task(find("tasks", method))


def accuracy(run: Any, step: str, task: str) -> float:
    """Test accuracy after a step, in percent."""
    row = next(i for i, row in enumerate(run.matrix.rows) if row.step == step)
    return 100 * run.matrix.value("accuracy", row, task).value


def _half_width(differences: np.ndarray) -> float:
    error = differences.std(ddof=1) / len(differences) ** 0.5
    return float(stats.t.ppf(0.975, len(differences) - 1) * error)


def _rounded(value: Any) -> Any:
    return np.round(value, 4).tolist()
