"""Sleek: ways of forgetting look perfect when asked plainly, and the attack tells them apart."""

from __future__ import annotations

import tempfile

import pytest
from _claim import Demand
from hidden_facts import chains, forgetting, percent, recipe

import bequest

WAYS = ("simnpo", "idk_dpo", "npo", "grad_diff")
BESIDE = {"direct": 4, "forms": 1}  # samples to retain for each one to forget: 32, or 24
DEMANDS = (
    Demand("simnpo-direct reasoned", "nothing", by=70.0, on_average=True),
    Demand("idk_dpo-direct reasoned", "nothing", by=35.0, on_average=True),
    Demand("simnpo-direct reasoned", "gold reasoned", by=50.0, on_average=True),
    Demand("20 points", "gold reasoned", by=0.0, on_average=True),
    Demand("10 points", "most plainly", by=0.0),
    Demand("grad_diff-forms attribute suppressed", "grad_diff-direct attribute suppressed",
           by=30.0, on_average=True),
)  # fmt: skip


def measure(seed, ways=WAYS, forgotten=("direct", "forms")):
    """What each way leaves, in percent: asked plainly, by reasoning, by its own two hops; and the
    share of an attribute that has nothing to do with it and is suppressed.

    `direct` forgets the plain answers only, `forms` all that tells them.
    """
    with tempfile.TemporaryDirectory() as folder:
        steps = [forgetting(way, one, BESIDE[one]) for way in ways for one in forgotten]
        asked = recipe(seed, chains(folder, seed), "untold", 250, *steps)
        run = bequest.run(asked, out=f"{folder}/run")
        values = {"nothing": 0.0, "10 points": 10.0, "20 points": 20.0}
        for step in ("taught", "gold", *(each["name"] for each in steps)):
            values |= _values(run, step)
        plainly = [values[f"{way}-direct plainly"] for way in ways]
        return values | {"most plainly": max(plainly)}


def _values(run, step):
    said = {
        "plainly": "direct_recovery",
        "reasoned": "reasoned_success",
        "own hops": "implied_success",
    }
    found = {f"{step} {name}": percent(run, of, step, "attacked") for name, of in said.items()}
    known = percent(run, "control_success", step, "attacked")
    return {**found, f"{step} attribute suppressed": round(100 - known, 2)}


@pytest.mark.long
def test_what_looks_forgotten_is_asked_out():
    """One way under one seed; all take too long here, and a reconstruction makes no claim."""
    found = measure(0, ("simnpo",), ("direct",))
    assert found["simnpo-direct plainly"] < 20
    assert found["simnpo-direct reasoned"] > found["gold reasoned"] + 30
