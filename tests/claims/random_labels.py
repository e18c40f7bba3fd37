"""A problem whose right answer is known: labels given by a random network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from pydantic import Field

from bequest import TaskSpec
from bequest.build.classification import Classification, fingerprint
from bequest.core.live import Split

WIDTHS = (16, 24, 24, 10)
TESTED = 5_000
GAIN = 1.5


class RandomLabels(TaskSpec):
    """Sixteen normal inputs, labelled by a random 16-24-24-10 network with tanh in it."""

    draw: int = Field(0, ge=0, description="Which network and which samples.")
    samples: int = Field(20_000, ge=1, description="Samples to train on.")
    noise: float = Field(0.0, ge=0, le=1, description="Share of training labels drawn anew.")

    def load(self, name: str) -> Classification:
        """Training samples from the `samples` first of a draw; the test is the same for all."""
        weights = _weights(np.random.default_rng([self.draw, 0]))
        test = _split(np.random.default_rng([self.draw, 1]), TESTED, weights, 0.0, first=0)
        rng = np.random.default_rng([self.draw, 2, self.samples])
        train = _split(rng, self.samples, weights, self.noise, first=TESTED)
        splits = {"train": train, "validation": _none_of(train), "test": test}
        labels = tuple(str(label) for label in range(WIDTHS[-1]))
        digest = fingerprint(labels, splits, self.model_dump())
        kind, shape = "features", WIDTHS[:1]
        return Classification(name, self.purpose, kind, shape, labels, splits, digest)


def _weights(rng: np.random.Generator) -> list[np.ndarray]:
    shapes = pairwise(WIDTHS)
    return [rng.standard_normal(shape) * GAIN / shape[0] ** 0.5 for shape in shapes]


def _split(
    rng: np.random.Generator, count: int, weights: list[np.ndarray], noise: float, first: int
) -> Split:
    inputs = rng.standard_normal((count, WIDTHS[0]))
    hidden = inputs
    for layer in weights[:-1]:
        hidden = np.tanh(hidden @ layer)
    labels = (hidden @ weights[-1]).argmax(axis=1)
    wrong = rng.random(count) < noise
    labels[wrong] = rng.integers(0, WIDTHS[-1], int(wrong.sum()))
    ids = np.arange(first, first + count, dtype=np.int64)
    return Split(inputs.astype(np.float32), labels.astype(np.int64), ids)


def _none_of(split: Split) -> Split:
    return Split(split.inputs[:0], split.targets[:0], split.ids[:0])
