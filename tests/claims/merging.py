"""One controlled problem for all merges: three light fine-tunes of a base, whose labels differ.

An MLP 24-96-96-8 learns a first task in 600 steps; copies of it learn three others in 150 small
steps each. Beside merges of the three, each change is compressed by itself; and five runs on few
samples of one task are averaged that began at the base, or each at weights of its own.
"""

from __future__ import annotations

import tempfile
from functools import cache

import numpy as np
from pydantic import Field
from regions import regions, tuned

import bequest
from bequest.lazy import torch
from bequest.methods.graft._merging import Merging
from bequest.ops.deltas import dropped, one_bit

SKILLS, MEMBERS = (1, 2, 3), range(5)
SCALES, TIES_SCALES = (0.4, 0.6, 0.8, 1.0), (1.0, 1.5, 2.0)
BASE, TUNING = {"steps": 600, "rate": 1e-3}, {"steps": 150, "rate": 5e-4}
COMPRESSED = {
    "dare 50 %": {"use": "merging:Dare", "density": 0.5},
    "dare 10 %": {"use": "merging:Dare", "density": 0.1},
    "dropped to 10 %": {"use": "merging:Dare", "density": 0.1, "rescale": False},
    "bitdelta": {"use": "merging:Bitdelta"},
    "magnitude 20 %": {"use": "magnitude", "density": 0.2},
    "magnitude 6.25 %": {"use": "magnitude", "density": 0.0625},
}


class Dare(Merging):
    """Drop entries of a change at random."""

    source = "Yu et al. 2023"
    density: float = Field(0.5, description="Share kept.")
    rescale: bool = Field(True, description="Whether what is kept makes up for it.")

    def merged(self, name, base, donors, shares):
        draw = torch.Generator().manual_seed(len(name) + base.size)
        kept = torch.rand(base.shape, generator=draw).numpy() < self.density
        return base + dropped(donors[0] - base, kept, self.density if self.rescale else 1.0)


class Bitdelta(Merging):
    """One bit for each entry of matrices; the rest of the donor whole."""

    source = "Liu et al. 2024"

    def merged(self, name, base, donors, shares):
        if base.ndim < 2:
            return donors[0]
        scale, plus = one_bit(donors[0] - base)
        return base + np.where(plus, np.float32(scale), -np.float32(scale))


@cache
def solved(seed):
    """Accuracies in percent, the same for the claims of all merges."""
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run(_recipe(seed), out=f"{folder}/run")
        rows = {row.step: number for number, row in enumerate(run.matrix.rows)}

    def right(step, *tasks):
        found = [run.matrix.value("accuracy", rows[step], f"task{task}").value for task in tasks]
        return 100 * float(np.mean(found))

    def each(name):
        return float(np.mean([right(f"{_slug(name)}-{task}", task) for task in SKILLS]))

    values = {
        "own": each("own"),
        "base": right("base", *SKILLS),
        "linear": right("linear", *SKILLS),
        "task arithmetic": max(right(_slug(f"ta{scale:g}"), *SKILLS) for scale in SCALES),
        "ties": max(right(_slug(f"ties{scale:g}"), *SKILLS) for scale in TIES_SCALES),
        **{name: each(name) for name in COMPRESSED},
        "members": float(np.mean([right(f"member-{number}", 1) for number in MEMBERS])),
        "soup": right("soup", 1),
        "strangers": float(np.mean([right(f"stranger-{number}", 1) for number in MEMBERS])),
        "soup of strangers": right("soup-of-strangers", 1),
    }
    return {name: round(value, 2) for name, value in values.items()}


def _slug(name):
    return name.replace(" %", "").replace(" ", "-").replace(".", "-")


def _recipe(seed):
    tasks = regions(seed, 4) | {
        "few": {"use": "regions:Regions", "draw": seed, "region": 1, "samples": 300}
    }
    donors = [f"own-{task}.student" for task in SKILLS]
    members = [f"member-{number}.student" for number in MEMBERS]
    strangers = [f"stranger-{number}.student" for number in MEMBERS]
    compressed = [
        _merge(f"{_slug(name)}-{task}", [f"own-{task}.student"], method)
        for name, method in COMPRESSED.items()
        for task in SKILLS
    ]
    return {
        "models": {name: {"use": "mlp", "hidden": [96, 96]} for name in
                   ("student", *(f"student{number}" for number in MEMBERS))},
        "tasks": tasks,
        "steps": [
            tuned("base", "student", "task0", **BASE),
            *(tuned(f"own-{task}", "base.student", f"task{task}", **TUNING) for task in SKILLS),
            _merge("linear", donors, {"use": "linear"}),
            *(_merge(f"ta{scale:g}", donors, {"use": "task_arithmetic", "scale": scale})
              for scale in SCALES),
            *(_merge(f"ties{scale:g}", donors, {"use": "ties", "density": 0.5, "scale": scale})
              for scale in TIES_SCALES),
            *compressed,
            *(tuned(f"member-{number}", "base.student", "few", **BASE) for number in MEMBERS),
            *(tuned(f"stranger-{number}", f"student{number}", "few", **BASE) for number in MEMBERS),
            _merge("soup", members, {"use": "linear"}),
            _merge("soup-of-strangers", strangers, {"use": "linear"}),
        ],
        "seeds": [seed],
    }  # fmt: skip


def _merge(name, donors, method):
    models = {"base": "base.student", "donors": donors}
    name = name.replace(".", "-")
    return {"name": name, "line": name, "method": method, "models": models, "tasks": ["task1"]}
