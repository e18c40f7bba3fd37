"""A general task and three skills in other regions, each learned in full from the same base.

MLP 24-128-128-128-8; 600 steps on the general task, 400 on each skill. Hidden changes become groups
of 2, 6 and 24 directions with 8, 4 and 2 bits; the first and last layer keep half of their entries.
"""

from __future__ import annotations

import tempfile

import numpy as np
from regions import regions, tuned

import bequest

SKILLS = (1, 2, 3)
BITS = [[8, 0.0625], [4, 0.1875], [2, 0.75]]
PACK = {"use": "graftllm", "budget": None, "rank_mlp": 32, "bits": BITS, "groupsize": 32,
        "router_samples": 1000}  # fmt: skip
FEW_EXACT = {"use": "graftllm", "budget": None, "rank_mlp": 2, "bits": [[16, 1.0]]}
MERGES = {
    **{f"ta-{number}": {"use": "task_arithmetic", "scale": number / 10}
       for number in (4, 6, 8, 10)},
    **{f"ties-{number}": {"use": "ties", "density": 0.5, "scale": number / 10}
       for number in (10, 15, 20)},
}  # fmt: skip
NOISE, RATE = 0.7, 3e-3


def solved(seed):
    """Accuracies in percent: `skills` are means over the three."""
    with tempfile.TemporaryDirectory() as folder:
        matrix = bequest.run(_recipe(seed), out=f"{folder}/run").matrix
    rows = {(row.step, row.name): number for number, row in enumerate(matrix.rows)}
    last = {row.step: number for number, row in enumerate(matrix.rows)}

    def right(row, task):
        return 100 * matrix.value("accuracy", row, f"task{task}").value

    def skills(row_of):
        return float(np.mean([right(row_of(task), task) for task in SKILLS]))

    merges = {name: skills(lambda task, name=name: last[name]) for name in MERGES}
    earlier = np.mean([right(last["turns"], task) for task in SKILLS[:-1]])
    values = {
        "full": skills(lambda task: last[f"own-{task}"]),
        "pack": skills(lambda task: rows["graft", f"with-task{task}"]),
        "routed": skills(lambda task: last["graft"]),
        "routed on general": right(last["graft"], 0),
        "base on general": right(last["base"], 0),
        "full on general": float(np.mean([right(last[f"own-{task}"], 0) for task in SKILLS])),
        "best merge": max(merges.values()),
        "sequential on earlier": float(earlier),
        "magnitude 5 %": skills(lambda task: rows["magnitude", f"with-pack-{task}"]),
        "2 exact directions": skills(lambda task: rows["few", f"with-task{task}"]),
    }
    return {name: round(value, 2) for name, value in values.items()}


def _recipe(seed):
    tasks = regions(seed, 4, noise=NOISE)
    tasks["task0"]["purpose"] = "retain"
    learn = [f"task{task}" for task in SKILLS]
    models = {"base": "base.student", "donors": [f"own-{task}.student" for task in SKILLS]}
    grafts = {"graft": PACK, "few": {**FEW_EXACT, "router": "never"},
              "magnitude": {"use": "magnitude", "density": 0.05}, **MERGES}  # fmt: skip
    optimizer = {"use": "adam", "lr": RATE}
    return {
        "models": {"student": {"use": "mlp", "hidden": [128, 128, 128]}},
        "tasks": tasks,
        "steps": [
            {**tuned("base", "student", "task0", 600, 1e-3), "tasks": {"learn": ["task0"]}},
            *(tuned(f"own-{task}", "base.student", f"task{task}", 400, RATE) for task in SKILLS),
            *({"name": name, "line": "main" if name == "graft" else name, "method": method,
               "models": models, "tasks": [*learn, "task0"]} for name, method in grafts.items()),
            {"name": "turns", "line": "turns", "method": {"use": "sequential"},
             "models": {"student": "base.student"}, "tasks": learn,
             "fit": {"steps": 400, "batch_size": 64, "optimizer": optimizer}},
        ],
        "seeds": [seed],
    }  # fmt: skip
