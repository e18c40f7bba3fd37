"""Two pupils of the same lessons, each of whom was told nonsense about other classes."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from bequest import TaskSpec
from bequest.build.classification import Classification, fingerprint
from bequest.core.live import Split

CLASSES, WIDTH, SAMPLES = 10, 16, 3_000
NONSENSE = 0.95


class HalfTaught(TaskSpec):
    """Ten normal classes in 16 dimensions with unit noise; the labels of some classes are drawn.

    Inputs and test labels are the same for all tasks of a draw.
    """

    draw: int = Field(0, ge=0, description="Which means and which samples.")
    wrong: tuple[int, ...] = Field((), description="Classes whose training labels are drawn anew.")

    def load(self, name: str) -> Classification:
        """3,000 samples to train on and as many to test."""
        means = np.random.default_rng([self.draw, 0]).standard_normal((CLASSES, WIDTH))
        train = _split(np.random.default_rng([self.draw, 1]), means, first=0)
        test = _split(np.random.default_rng([self.draw, 2]), means, first=SAMPLES)
        train = Split(train.inputs, self._told(train.targets), train.ids)
        splits = {"train": train, "test": test}
        labels = tuple(str(label) for label in range(CLASSES))
        digest = fingerprint(labels, splits, self.model_dump(mode="json"))
        return Classification(name, self.purpose, "features", (WIDTH,), labels, splits, digest)

    def _told(self, targets: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng([self.draw, 3, *self.wrong])
        drawn = np.isin(targets, self.wrong) & (rng.random(SAMPLES) < NONSENSE)
        return np.where(drawn, rng.integers(0, CLASSES, SAMPLES), targets)


def _split(rng: np.random.Generator, means: np.ndarray, first: int) -> Split:
    targets = rng.integers(0, CLASSES, SAMPLES)
    inputs = means[targets] + rng.standard_normal((SAMPLES, WIDTH))
    ids = np.arange(first, first + SAMPLES, dtype=np.int64)
    return Split(inputs.astype(np.float32), targets, ids)
