"""Every faithful method and audit has evidence that belongs to its present source and demands."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from _claim import EVIDENCE, SEEDS, Demand, digest, evidence

from bequest.core.find import find, known

AUDITS = [name for name, entry in known("tasks").items() if entry.family == "audits"]
FAITHFUL = [name for name in known("methods") if find("methods", name).status == "faithful"]
FAITHFUL += [name for name in AUDITS if find("tasks", name).status == "faithful"]
UNCONFIRMED = [name for name in known("methods") if find("methods", name).status == "unconfirmed"]
AGAIN = "measure it again: python tests/claims {}"


@pytest.mark.parametrize("method", FAITHFUL)
def test_the_evidence_is_of_the_present_source_and_holds(method):
    path = EVIDENCE / f"{method}.json"
    assert path.exists(), AGAIN.format(method)
    record = json.loads(path.read_text())
    assert record["source"] == digest(method), AGAIN.format(method)
    assert record["held"]
    assert len(record["values"]) >= len(SEEDS)


@pytest.mark.parametrize("method", UNCONFIRMED)
def test_what_is_unconfirmed_says_by_how_much(method):
    record = json.loads((EVIDENCE / f"{method}.json").read_text())
    assert record["source"] == digest(method), AGAIN.format(method)
    assert not record["held"], f"its claim held: {method} is faithful"


@pytest.mark.parametrize("method", [*FAITHFUL, *UNCONFIRMED])
def test_the_evidence_follows_from_its_own_values_and_the_present_demands(method):
    record = json.loads((EVIDENCE / f"{method}.json").read_text())
    claim = _claim_of(method)
    values = {int(seed): found for seed, found in record["values"].items()}
    assert evidence(method, values, claim) | {"torch": record["torch"]} == record


def _claim_of(method):
    """The file of a claim, by its place: other tests may have its name."""
    path = Path(__file__).with_name(f"test_{method}.py")
    spec = importlib.util.spec_from_file_location(f"claim_of_{method}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_no_evidence_for_what_is_gone():
    assert {path.stem for path in EVIDENCE.glob("*.json")} <= {*known("methods"), *AUDITS}


ONES = [{"new": 60.0, "old": 40.0}, {"new": 61.0, "old": 40.5}, {"new": 59.0, "old": 40.0}]


def test_a_demand_must_hold_on_every_seed():
    assert Demand("new", "old", by=15.0).judged(ONES)["held"]
    weak_seed = {"new": 54.9, "old": 40.0}
    assert not Demand("new", "old", by=15.0).judged([*ONES, weak_seed])["held"]


def test_the_interval_must_lie_above_zero():
    scattered = [{"new": 40.1, "old": 40.0}, {"new": 41.0, "old": 40.0}, {"new": 55.0, "old": 40.0}]
    judged = Demand("new", "old", by=0.1).judged(scattered)
    assert judged["interval"][0] < 0 < judged["mean"]
    assert not judged["held"]


def test_the_interval_is_students():
    judged = Demand("new", "old", by=15.0).judged(ONES)
    mean, half = (20 + 20.5 + 19) / 3, 4.30265 * 0.76376 / 3**0.5
    assert judged["mean"] == pytest.approx(mean, abs=1e-4)
    assert judged["interval"] == pytest.approx([mean - half, mean + half], abs=1e-3)


def test_not_worse_than_needs_the_interval_above_its_margin():
    near = [{"new": 40.0, "old": 40.5}, {"new": 40.0, "old": 40.2}, {"new": 40.0, "old": 39.9}]
    assert Demand("new", "old", by=-2.0).judged(near)["held"]
    assert not Demand("new", "old", by=-0.5).judged(near)["held"]
