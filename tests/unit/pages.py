"""Run folders made by hand, with everything a page has to bear."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bequest.core.outcomes import Outcomes
from bequest.measure import parquet
from bequest.measure.gate import judge
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.table import Cells
from bequest.runner.exhibits import exhibits
from bequest.store.files import write_json

LABELS = tuple(map(str, range(10)))
TASKS = ("digits", "rotated 30°", "noisy")
HOSTILE = 'Four <b>tasks</b> </script><script>alert(1)</script><img src=x onerror="alert(1)">'
SAMPLES, SEEDS = 60, (0, 1)


class Shown:
    """A task that shows its samples in one way."""

    labels = LABELS

    def __init__(self, kind):
        self.kind = kind

    def exhibit(self, ids):
        return [SHOWN[self.kind](sample) for sample in ids]


SHOWN = {
    "features": lambda i: {"kind": "features", "names": ["<i>ash</i>", "hue"], "values": [1.2, -3]},
    "text": lambda i: {"kind": "text", "text": f"<script>alert(1)</script> sample {i}"},
    "series": lambda i: {"kind": "series", "values": [0.0, float(i), 1.0]},
}
TASK_KINDS = dict(zip(TASKS, SHOWN, strict=True))


def outcomes(row, column, share, seed):
    """Answers of which about `share` are right; the same samples are hard for all rows."""
    hard = np.random.default_rng(column).random(SAMPLES)
    rng = np.random.default_rng([row, column, seed])
    right = hard * 0.8 + rng.random(SAMPLES) * 0.2 < share
    sure = (0.5 + 0.49 * rng.random(SAMPLES)).astype(np.float32)
    label = np.arange(SAMPLES, dtype=np.int32) % 10
    return Outcomes(
        sample=np.arange(SAMPLES) + 1000 * column,
        columns={
            "correct": right.astype(np.uint8),
            "nll": -np.log(np.where(right, sure, 1 - sure)).astype(np.float32),
            "confidence": sure,
            "predicted": np.where(right, label, (label + 1) % 10).astype(np.int32),
            "label": label,
        },
        labels=LABELS,
    )


def cells(rows, shares, absent=None, tasks=TASKS):
    """The cells of rows that are right in these shares, [rows][tasks]."""
    absent = absent or {}
    found = {
        (row, task, seed): outcomes(row, column, shares[row][column], seed)
        for row in range(len(rows))
        for column, task in enumerate(tasks)
        for seed in SEEDS
        if (row, task) not in absent
    }
    costs = {i: {"parameters": 1168.0, "bytes": 4672.0} for i in range(len(rows))}
    return Cells(tuple(rows), tuple(tasks), SEEDS, found, absent, costs)


def write_run(folder: Path, held, *, title, recipe, rules=(), curves=True, tasks=None):
    """A finished run's folder with these cells."""
    folder.mkdir(parents=True)
    matrix = Matrix(held)
    parquet.write(held, folder / "outcomes.parquet")
    write_json(folder / "metrics.json", matrix.to_json())
    if curves:
        pq.write_table(_curves(held), folder / "curves.parquet")
    if tasks:
        write_json(folder / "exhibits" / "exhibits.json", exhibits(matrix, tasks))
    about = {"fingerprint": "ab" * 32, "purpose": "learn", "samples": {"test": SAMPLES},
             "notes": []}  # fmt: skip
    record = {
        "name": "sequence & co", "title": title, "recipe": recipe, "digest": "cd" * 32,
        "seeds": list(SEEDS), "versions": {"torch": "2.13"}, "machine": {"system": "Linux"},
        "tasks": dict.fromkeys(held.tasks, about), "seconds": 3.2, "status": "finished",
        "verdict": judge(rules, matrix).to_json(),
    }  # fmt: skip
    write_json(folder / "run.json", record)
    return folder


def sequence_run(folder):
    """Two methods over four tasks, a joint line with an absent cell, hostile names."""
    rows, shares = [Row("given", "student", "student", line="given")], [[0.1] * 3]
    for step, line, kept in (("sequential", "main", 0.5), ("cuber", "cuber", 0.95)):
        for i, task in enumerate(TASKS):
            after = 0 if i == 0 else len(rows) - 1
            rows.append(
                Row(
                    step,
                    f"after {task}",
                    "student",
                    learned=task,
                    line=line,
                    order=len(rows),
                    after=after,
                )
            )
            shares.append([0.1 if j > i else 0.98 * kept ** (i - j) for j in range(3)])
    rows.append(Row("joint", "all", "student", line="joint", order=len(rows), after=0))
    shares.append([0.97] * 3)
    absent = {(7, "noisy"): "the stage is not scored on <b>this</b> task"}
    steps = [
        {
            "name": name,
            "method": {"use": name},
            "models": {"student": "student"},
            "tasks": list(TASKS),
        }
        for name in ("sequential", "cuber", "joint")
    ]
    return write_run(
        folder,
        cells(rows, shares, absent),
        title=HOSTILE,
        recipe={"schema": 1, "models": {"student": {"use": "cnn"}}, "steps": steps},
        rules=["accuracy(digits) >= 0.9", "accuracy(digits) @ cuber vs sequential >= 0.1 surely"],
        tasks={task: Shown(kind) for task, kind in TASK_KINDS.items()},
    )


def single_run(folder, **settings):
    """One given model on one task, and nothing else."""
    rows = [Row("given", "student", "student", line="given")]
    held = cells(rows, [[0.5]], tasks=("digits",))
    recipe = {"schema": 1, "models": {"student": {"use": "cnn"}}, "method": {"use": "finetune"}}
    return write_run(folder, held, title="", recipe=recipe, curves=False, **settings)


def _curves(held):
    points = [
        {"stage": row.title, "seed": seed, "fit": 0, "step": step, "term": term, "weight": 1.0,
         "value": 2.0 / (1 + step) + seed * 0.1, "share": 0.5}
        for row in held.rows if row.line != "given"
        for seed in held.seeds
        for step in range(0, 40, 4)
        for term in ("hard", "<u>soft</u>")
    ]  # fmt: skip
    return pa.Table.from_pylist(points)
