"""Relearn: what was only hidden comes back sooner than it comes to one who never knew it."""

from __future__ import annotations

import tempfile

from _claim import Demand, checked
from hidden_facts import facts, forgetting, percent, recipe

import bequest

WAYS = ("npo", "simnpo", "rmu")
DEMANDS = (
    Demand("simnpo and rmu", "gold", by=10.0, on_average=True),
    Demand("taught", "gold", by=25.0),
)


def measure(seed):
    """Best accuracy on eight forgotten facts while eight others are learned again, in percent."""
    with tempfile.TemporaryDirectory() as folder:
        steps = [forgetting(way, "forgotten", 2) for way in WAYS]
        asked = recipe(seed, facts(folder, seed), "kept", 200, *steps)
        run = bequest.run(asked, out=f"{folder}/run")
        names = ("taught", "gold", *(each["name"] for each in steps))
        values = {name.partition("-")[0]: percent(run, "relearned", name, "again")
                  for name in names}  # fmt: skip
        return values | {"simnpo and rmu": (values["simnpo"] + values["rmu"]) / 2}


test_demands = checked(measure, DEMANDS)
