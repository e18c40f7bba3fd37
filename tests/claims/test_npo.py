"""NPO: it forgets, keeps the rest beside it, and drifts away slower than gradient ascent does.

The world of facts. By plain SGD without clipping, ascent alone is far gone after 40 steps, where a
preference that fades is not: how unlikely the answers to forget have become, in nats.
"""

from __future__ import annotations

import tempfile

from _claim import Demand, checked
from facts_world import forgets_and_retains, forgetting, measured, recipe

import bequest
from bequest.measure.address import find_row

SLOWLY = {
    "steps": 40,
    "optimizer": {"use": "sgd", "lr": 0.02},
    "clip_norm": None,
}
DEMANDS = (
    *forgets_and_retains("npo"),
    Demand("ascent at step 40", "2.5 · npo at step 40", by=0.0),
)


def measure(seed):
    """Answers still right, in percent; and mean NLL of an answer to forget after 40 steps."""
    drifted = _drifted(seed)
    return {
        **measured(seed, "npo"),
        "ascent at step 40": drifted["ascent"],
        "2.5 · npo at step 40": 2.5 * drifted["npo"],
    }


def _drifted(seed):
    """Without anything to retain, which is weighed next to nothing for NPO."""
    steps = [
        forgetting("ascent", {"use": "grad_ascent"}, retain=False, **SLOWLY),
        forgetting("npo", {"use": "npo", "beta": 0.1, "alpha": 1.0e-9}, **SLOWLY),
    ]
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run(recipe(seed, *steps), out=f"{folder}/run")
        return {step["name"]: _nll(run, step["name"]) for step in steps}


def _nll(run, step):
    """Mean NLL of an answer."""
    row = find_row(run.matrix.rows, step)
    return round(run.matrix.value("log_perplexity", row, "forgotten").value, 2)


test_demands = checked(measure, DEMANDS)
