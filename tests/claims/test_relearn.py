"""Relearn: what was only hidden comes back sooner than it comes to one who never knew it."""

from __future__ import annotations

import tempfile

from _claim import checked
from hidden_facts import facts, forgetting, percent, recipe

import bequest

WAYS = ("grad_diff", "idk_dpo", "npo", "simnpo", "rmu")
DEMANDS = ()


def measure(seed):
    """Best accuracy on eight forgotten facts while eight others are learned again, in percent."""
    with tempfile.TemporaryDirectory() as folder:
        steps = [forgetting(way, "forgotten", 2) for way in WAYS]
        asked = recipe(seed, facts(folder, seed), "kept", 200, *steps)
        run = bequest.run(asked, out=f"{folder}/run")
        names = ("taught", "gold", *(each["name"] for each in steps))
        return {name: percent(run, "relearned", name, "again") for name in names}


test_demands = checked(measure, DEMANDS)
