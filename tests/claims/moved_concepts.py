"""A problem in which a later task can improve an earlier one: the same concept, better taught.

One head. The first task has 60 samples and is left after 5 epochs; the second is the same concept
slightly moved; the third is an unrelated one in a subspace that overlaps by half.
"""

from __future__ import annotations

import tempfile
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field

import bequest
from bequest import TaskSpec
from bequest.build.classification import Classification, fingerprint
from bequest.core.live import Split
from bequest.lazy import torch
from bequest.methods.continual.cuber import Cuber
from bequest.methods.continual.gpm import Gpm
from bequest.methods.continual.sequential import Sequential
from bequest.methods.continual.trgp import Trgp

WIDTH, LATENT, SHARED, CLASSES = 24, 10, 5, 4
APART, MOVED, NOISE = 0.8, 0.24, 0.05
TESTED = 2_000
HIDDEN = 48
FIRST_EPOCHS, EPOCHS, BATCH, RATE = 5, 8, 16, 0.05
SUBSPACES = {"threshold": 0.99, "threshold_growth": 0.0}
REGIMES = {**SUBSPACES, "sufficient_projection": 0.3}
METHODS = {
    "fine_tuning": {"use": "moved_concepts:ShortSequential"},
    "gpm": {"use": "moved_concepts:ShortGpm", **SUBSPACES},
    "trgp": {"use": "moved_concepts:ShortTrgp", **REGIMES},
    "cuber": {
        "use": "moved_concepts:ShortCuber", **REGIMES, "least_correlation": 0.0, "penalty": 0.05,
    },
}  # fmt: skip
SAMPLES = {"first": 60, "moved": 800, "unrelated": 800}


class MovedConcepts(TaskSpec):
    """Four Gaussian classes in ten latent directions of a space of 24.

    The first concept has few samples; the second is the same, its class means slightly moved; the
    third has means of its own and shares half of the directions.
    """

    draw: int = Field(0, ge=0, description="Which directions, means and samples.")
    concept: Literal["first", "moved", "unrelated"] = Field("first", description="Which concept.")

    def load(self, name: str) -> Classification:
        """Training samples as the concept has them, and a test of its own."""
        directions, means = _concepts(np.random.default_rng([self.draw, 0]))[self.concept]
        rng = np.random.default_rng([self.draw, 1, list(SAMPLES).index(self.concept)])
        train = _split(rng, SAMPLES[self.concept], directions, means, first=0)
        test = _split(rng, TESTED, directions, means, first=len(train))
        splits = {"train": train, "test": test}
        labels = tuple(str(label) for label in range(CLASSES))
        digest = fingerprint(labels, splits, self.model_dump())
        return Classification(name, self.purpose, "features", (WIDTH,), labels, splits, digest)


def _concepts(rng):
    """Directions [latent, width], orthonormal, and class means [classes, latent] of each."""
    basis = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0].T
    means, unrelated = APART * rng.standard_normal((2, CLASSES, LATENT))
    moved = means + MOVED * rng.standard_normal(means.shape)
    here, there = basis[:LATENT], basis[LATENT - SHARED : 2 * LATENT - SHARED]
    return {"first": (here, means), "moved": (here, moved), "unrelated": (there, unrelated)}


def _split(rng, count, directions, means, first):
    labels = rng.integers(0, CLASSES, count)
    latent = means[labels] + rng.standard_normal((count, LATENT))
    inputs = latent @ directions + NOISE * rng.standard_normal((count, WIDTH))
    ids = np.arange(first, first + count, dtype=np.int64)
    return Split(inputs.astype(np.float32), labels.astype(np.int64), ids)


def network(shape, labels):
    """Two hidden layers of 48 without biases; weights as He et al. 2015 draw them."""
    layers = []
    for width, following in pairwise((shape[0], HIDDEN, HIDDEN, len(labels))):
        layer = torch.nn.Linear(width, following, bias=False)
        torch.nn.init.kaiming_normal_(layer.weight)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


class _Short:
    """The first task is learnt for fewer epochs than the others."""

    def transfer(self, bench):
        whole = bench.settings
        bench.settings = whole.model_copy(update={"epochs": FIRST_EPOCHS})
        for stage in super().transfer(bench):
            bench.settings = whole
            yield stage


class ShortSequential(_Short, Sequential): ...


class ShortGpm(_Short, Gpm): ...


class ShortTrgp(_Short, Trgp): ...


class ShortCuber(_Short, Cuber): ...


def measured(seed, names):
    """Mean accuracy after the last task and backward transfer of some methods, in percent."""
    with tempfile.TemporaryDirectory() as folder:
        run = bequest.run(_recipe(seed, names), out=f"{folder}/run")
        return {
            f"{name}_{metric}": value
            for name in names
            for metric, value in _acc_and_bwt(run, name).items()
        }


def _recipe(seed, names):
    task = {"use": "moved_concepts:MovedConcepts", "draw": seed}
    return {
        "models": {"student": {"use": "moved_concepts:network"}},
        "tasks": {concept: {**task, "concept": concept} for concept in SAMPLES},
        "steps": [{"name": name, "method": METHODS[name]} for name in names],
        "fit": {"epochs": EPOCHS, "batch_size": BATCH, "optimizer": {"use": "sgd", "lr": RATE}},
        "seeds": [seed],
    }


def _acc_and_bwt(run, step):
    rows = [row for row, found in enumerate(run.matrix.rows) if found.step == step]
    scores = [
        [100 * run.matrix.value("accuracy", row, concept).value for concept in SAMPLES]
        for row in rows
    ]
    last = scores[-1]
    changes = [last[task] - scores[task][task] for task in range(len(last) - 1)]
    # Rounded as evidence is, so that what follows from it follows from these values.
    return {"acc": round(sum(last) / len(last), 4), "bwt": round(sum(changes) / len(changes), 4)}
