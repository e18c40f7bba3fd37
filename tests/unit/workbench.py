"""A small bench to try things on: a task of noisy clusters, small models, a journal."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from bequest.build.model import Classifier
from bequest.core.live import Split
from bequest.lazy import functional, torch
from bequest.recipe.schema import FitSettings
from bequest.store.journal import Journal
from bequest.transfer.bench import Bench
from bequest.transfer.fit import Fit
from bequest.transfer.randomness import seeded

LABELS = ("a", "b", "c")
WIDTH = 4


def split(count=40, seed=0, first=0):
    """Samples whose label shifts one of four inputs."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, len(LABELS), count)
    inputs = rng.standard_normal((count, WIDTH)) + 2 * np.eye(len(LABELS), WIDTH)[targets]
    ids = rng.permutation(np.arange(first, first + count, dtype=np.int64))
    return Split(inputs.astype(np.float32), targets.astype(np.int64), ids)


def task(name="task", purpose="learn", seed=0, count=40):
    """A live task with as much of one as a bench reads."""
    splits = {"train": split(count, seed), "validation": split(20, seed + 50, first=1000)}
    fingerprint = f"{name}-{seed}-{count}"
    return SimpleNamespace(
        name=name, purpose=purpose, labels=LABELS, splits=splits, fingerprint=fingerprint
    )


def model(seed=0, hidden=6, dropout=0.0):
    """A perceptron for the tasks here; the same for the same seed."""
    nn = torch.nn
    with seeded(seed):
        layers = [nn.Linear(WIDTH, hidden), nn.ReLU(), nn.Dropout(dropout)]
        return Classifier(nn.Sequential(*layers, nn.Linear(hidden, len(LABELS))), LABELS)


def fit_settings(**changes):
    """Short fits: 2 epochs of 5 steps over the 40 samples of a task."""
    given = {"epochs": 2, "batch_size": 8, "optimizer": {"use": "adamw", "lr": 0.01}}
    return FitSettings.model_validate(given | changes)


def bench(folder, *, models=None, tasks=None, settings=None, seed=0, progress=None):
    """A bench whose journal lies in `folder`; one made later on the same folder resumes."""
    return Bench(
        models=models or {"student": model()},
        tasks=tasks or [task()],
        fresh=lambda role: model(99),
        journal=Journal(folder, (seed, 1), {}),
        settings=settings or fit_settings(),
        seed=seed,
        device=torch.device("cpu"),
        progress=progress or (lambda step, steps, values: None),
    )


def fit(folder, modules, stream, loss=None, *, settings=None, **options):
    """A `Fit` on an entry of its own, ready to run."""
    entry = Journal(folder, (0, 1), {}).entry("fit", "model", {})
    return Fit(entry, modules, stream, loss or hard, settings or fit_settings(), **options)


def hard(student, batch, rng):
    """Plain cross-entropy."""
    return {"hard": functional.cross_entropy(student.logits(batch.inputs), batch.targets)}


def weights(thing):
    """A copy of all weights and buffers, by name."""
    module = getattr(thing, "module", thing)
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one, other):
    """Whether two sets of tensors are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
