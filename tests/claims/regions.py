"""Tasks in different regions of one space, whose labels contradict each other, and copies of one
network that were fine-tuned to each."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from bequest import TaskSpec
from bequest.build.classification import Classification, fingerprint
from bequest.core.live import Split

WIDTH, CLASSES, TRAINED, TESTED = 24, 8, 2_000, 1_000
AWAY, SPREAD, NOISE = 6.0, 1.0, 1.0
LABELS = tuple(str(label) for label in range(CLASSES))


class Regions(TaskSpec):
    """Eight normal classes around a place of their own."""

    draw: int = Field(0, ge=0, description="Which places and which samples.")
    region: int = Field(0, ge=0, description="Which of the places.")
    noise: float = Field(NOISE, gt=0, description="Standard deviation within a class.")
    away: float = Field(AWAY, ge=0, description="How far places lie from the middle.")
    samples: int = Field(TRAINED, ge=1, description="How many to train on.")

    def load(self, name: str) -> Classification:
        rng = np.random.default_rng([self.draw, self.region, 5])
        place = self.away * rng.standard_normal(WIDTH) / WIDTH**0.5
        means = place + SPREAD * rng.standard_normal((CLASSES, WIDTH))
        splits = {
            "train": self._split(rng, means, self.samples, 0),
            "test": self._split(rng, means, TESTED, self.samples),
        }
        digest = fingerprint(LABELS, splits, self.model_dump(mode="json"))
        return Classification(name, self.purpose, "features", (WIDTH,), LABELS, splits, digest)

    def _split(self, rng, means, count, first):
        targets = rng.integers(0, CLASSES, count)
        inputs = means[targets] + self.noise * rng.standard_normal((count, WIDTH))
        ids = first + np.arange(count, dtype=np.int64) + 100_000 * self.region
        return Split(inputs.astype(np.float32), targets.astype(np.int64), ids)


def regions(seed, count, **about):
    """Tasks `task0`, `task1` … of a recipe."""
    return {
        f"task{number}": {"use": "regions:Regions", "draw": seed, "region": number, **about}
        for number in range(count)
    }


def tuned(name, student, task, steps, rate):
    """A step that trains a model on one task."""
    optimizer = {"use": "adam", "lr": rate}
    return {
        "name": name,
        "method": {"use": "finetune"},
        "models": {"student": student},
        "tasks": [task],
        "fit": {"steps": steps, "batch_size": 64, "optimizer": optimizer},
    }
