"""What the training loop costs a step, beside a loop written by hand for the same weights."""

from __future__ import annotations

import copy
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.benchmarks._side_by_side import Unit, machine, one_thread, side_by_side
from bequest.core.live import Split
from bequest.lazy import functional, torch
from bequest.recipe.schema import FitSettings
from bequest.store.journal import Journal, derive
from bequest.transfer.bench import Bench
from bequest.transfer.streams import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.core.live import Batch

PROMISE = "at most 100 µs a step above the loop by hand, and at most 1.03 of it at width 1024"
MOST_ADDED, MOST_RATIO, WIDE = 100.0, 1.03, 1024
SAMPLES, INPUTS, LABELS, BATCH = 2048, 64, 10, 64
ROUNDS = 12  # short and many: the smallest of them meets a quiet moment
STEPS = {128: 1000, 1024: 1000}
POSITION = (0, 1)


def bench(rounds: int = ROUNDS, steps: Mapping[int, int] = STEPS) -> dict[str, Any]:
    """Both loops at each width; `steps` says how many to take, by width."""
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        rows = [_width(width, many, rounds, Path(folder)) for width, many in steps.items()]
    return {
        "name": "overhead",
        "promise": PROMISE,
        "kept": all("void" not in row and _kept(row) for row in rows),
        "rows": rows,
        "machine": machine(),
    }


def _kept(row: dict[str, Any]) -> bool:
    ratio: float = row["cpu"]["fit"]["ratio"]
    return bool(row["added"] <= MOST_ADDED and (row["width"] < WIDE or ratio <= MOST_RATIO))


def _width(width: int, steps: int, rounds: int, folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    first = torch.nn.Sequential(
        torch.nn.Linear(INPUTS, width), torch.nn.ReLU(), torch.nn.Linear(width, LABELS)
    )
    samples = invented(SAMPLES, INPUTS, LABELS)
    row = side_by_side(
        f"{INPUTS}-{width}-{LABELS}, {steps} steps of {BATCH}",
        {
            "by hand": lambda: by_hand(copy.deepcopy(first), samples, steps),
            "fit": lambda: by_fit(copy.deepcopy(first), samples, steps, folder),
        },
        _same_weights,
        rounds=rounds,
        unit=Unit("µs a step", 1e6 / steps),
    )
    if "void" in row:
        return row
    added = row["cpu"]["fit"]["min"] - row["cpu"]["by hand"]["min"]
    return {"width": width, **row, "added": round(added, 1)}


def invented(samples: int, inputs: int, labels: int) -> Rows:
    """Random samples in memory, each with a label."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((samples, inputs), dtype=np.float32)
    return Rows(Split(features, rng.integers(0, labels, samples), np.arange(samples)))


def by_fit(model: torch.nn.Module, samples: Rows, steps: int, folder: Path) -> torch.nn.Module:
    """`model` after `Bench.fit`, its entry in the journal included."""
    journal = Journal(folder, POSITION, {})

    def loss(model: Any, batch: Batch, rng: Any) -> dict[str, torch.Tensor]:
        return {"hard": functional.cross_entropy(model(batch.inputs), batch.targets)}

    workbench(journal, FitSettings(steps=steps, batch_size=BATCH)).fit(model, samples, loss)
    journal.forget()
    return model


def workbench(journal: Journal, settings: FitSettings) -> Bench:
    """A bench without models and tasks: what is fitted is handed to it."""
    device = torch.device("cpu")
    return Bench(
        models={}, tasks=(), fresh=_none, journal=journal, settings=settings, seed=0, device=device
    )


def by_hand(model: torch.nn.Module, samples: Rows, steps: int) -> torch.nn.Module:
    """`model` after as many steps of the plainest loop over the same batches."""
    everything = samples.all()
    inputs, targets = everything.inputs, everything.targets
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    left = steps
    for epoch in itertools.count():
        seed = derive(derive(*POSITION, 0), "epoch", epoch)
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(seed))
        for rows in torch.split(order, BATCH):
            loss = functional.cross_entropy(model(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            left -= 1
            if not left:
                return model
    raise AssertionError  # epochs are endless


def _same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


def _none(role: str) -> Any:
    raise LookupError(role)
