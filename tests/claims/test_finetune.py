"""Finetune: the baseline learns what the labels say, as well as a loop written by hand."""

from __future__ import annotations

import tempfile

from _claim import Demand, accuracy, checked
from random_labels import RandomLabels

import bequest
from bequest.lazy import functional, torch

DEMANDS = (
    Demand("finetune", "majority", by=30.0),
    Demand("finetune", "by_hand", by=-2.0),
    Demand("by_hand", "finetune", by=-2.0),
)
SAMPLES, STEPS, BATCH, RATE, HIDDEN = 5_000, 3_000, 64, 3.0e-3, 64


def measure(seed):
    """Test accuracies of finetune, of a loop by hand, and of the commonest label."""
    task = {"use": "random_labels:RandomLabels", "draw": seed, "samples": SAMPLES}
    recipe = {
        "models": {"student": {"use": "mlp", "hidden": [HIDDEN]}},
        "tasks": {"labels": task},
        "method": {"use": "finetune"},
        "fit": {"steps": STEPS, "batch_size": BATCH, "optimizer": {"use": "adam", "lr": RATE}},
        "seeds": [seed],
    }
    live = RandomLabels(draw=seed, samples=SAMPLES).load("labels")
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run(recipe, out=f"{folder}/run")
        trained = accuracy(run, run.matrix.rows[-1].step, "labels")
    return {
        "finetune": trained,
        "by_hand": _by_hand(live, seed),
        "majority": _majority(live.splits["test"].targets),
    }


def _by_hand(task, seed):
    """Its own weights and its own order of the data: nothing of the workbench is used."""
    rng = torch.Generator().manual_seed(seed)
    inputs, targets = (torch.from_numpy(part) for part in _parts(task, "train"))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = torch.nn.Linear(16, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 10)
        model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for _ in range(STEPS):
        rows = torch.randint(len(inputs), (BATCH,), generator=rng)
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
        optimizer.step()
    inputs, targets = (torch.from_numpy(part) for part in _parts(task, "test"))
    with torch.no_grad():
        return 100 * float((model(inputs).argmax(dim=1) == targets).float().mean())


def _parts(task, side):
    return task.splits[side].inputs, task.splits[side].targets


def _majority(targets):
    return 100 * float((targets == torch.from_numpy(targets).mode().values.item()).mean())


test_demands = checked(measure, DEMANDS)
