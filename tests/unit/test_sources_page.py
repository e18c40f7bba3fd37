"""What the page says of sources: gain beside both losses; strange sources are no column."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bequest.core.outcomes import Outcomes
from bequest.measure.contrasts import improvement_ratio
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.table import Cells
from bequest.report.page.sources import sources
from bequest.runner.strangers import built_for, strangers

ROWS = (
    Row("given", "student", "student", line="given"),
    Row("alone", "alone", "other", learned="t", line="alone", order=1),
    Row("noise", "adapted", "student", learned="t", order=2, after=0),
    Row("<b>real</b>", "adapted", "student", learned="t", order=3, after=0),
)
RIGHT = (10, 40, 60, 80)
FOUND = {
    2: {"source_loss": 1.5, "domain_discrepancy": 0.25},
    3: {"source_loss": 1.8, "domain_discrepancy": 0.1},
}


def matrix(costs=FOUND, rows=ROWS):
    outcomes = {
        (row, "t", 0): Outcomes(
            np.arange(100), {"correct": (np.arange(100) < right).astype(np.uint8)}
        )
        for row, right in enumerate(RIGHT)
    }
    return Matrix(Cells(rows, ("t",), (0,), outcomes, costs=costs))


def test_gains_stand_beside_both_losses():
    said = sources(matrix())
    assert said.count("<svg") == 2
    assert "beyond that of alone.alone" in said
    assert "+0.200" in said and "+0.400" in said
    assert "+0.500" in said and "+1.000" in said  # improvement ratios
    assert "1.800" in said and "0.100" in said
    assert "<b>real" not in said


def test_without_a_source_or_without_a_stage_that_had_none_there_is_no_picture():
    assert sources(matrix(costs={})) is None
    alone = (*ROWS[:1], Row("a", "b", "c", learned=None, line="alone", order=1), *ROWS[2:])
    assert sources(matrix(rows=alone)) is None


def test_both_losses_are_metrics_of_a_stage():
    found = matrix()
    assert found.value("source_loss", 2).value == 1.5
    assert found.value("domain_discrepancy", 3, against=2).value == pytest.approx(-0.15)
    written = {(one["metric"], one["row"]): one["value"] for one in found.to_json()["costs"]}
    assert written["source_loss", 3] == 1.8


def test_the_improvement_ratio_is_the_gain_by_what_there_was():
    found = matrix().value("improvement_ratio", 2, "t", 1)
    assert found.value == pytest.approx(0.5)
    assert found.low < 0.5 < found.high
    none = {"correct": np.zeros(4, np.uint8)}
    ratio = improvement_ratio.compute(none, none, np.full(4, 0.25))
    assert np.isnan(ratio)


def plan(**purposes):
    """A plan whose one step uses tasks for these purposes."""
    steps = (SimpleNamespace(tasks=tuple(purposes), purposes=purposes),)
    tasks = {name: SimpleNamespace(purpose="learn") for name in purposes}
    return SimpleNamespace(steps=steps, tasks=tasks, entries={name: name for name in purposes})


def task(width=4, labels=("a", "b"), asks="logits"):
    return SimpleNamespace(shape=(width,), labels=labels, asks=asks)


def test_models_are_built_for_what_is_no_mere_source():
    tasks = {"one": task(9), "two": task(4)}
    assert built_for(plan(one="source", two="target"), tasks) is tasks["two"]
    assert built_for(plan(one="learn", two="target"), tasks) is tasks["one"]
    assert built_for(plan(one="source", two="source"), tasks) is tasks["one"]


def test_only_sources_of_another_kind_are_not_asked_about():
    tasks = {"s": task(9), "t": task(4), "same": task(4), "named": task(4, ("x", "y"))}
    used = plan(s="source", t="target", same="source", named="source")
    assert strangers(used, tasks) == {"s", "named"}
    assert strangers(plan(s="learn", t="target"), {"s": task(9), "t": task(4)}) == set()
