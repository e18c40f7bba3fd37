"""Invented students whose mastery of every concept is known at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bequest.build.trace_pieces import Student

if TYPE_CHECKING:
    from bequest.build.tasks.trace import Generated

_BASE, _BASE_SPREAD, _ABILITY_SPREAD = -0.5, 0.3, 0.2
_GAIN, _SHAPE, _SCALE = 1.2, 2.0, 0.45


def generated(settings: Generated) -> list[Student]:
    """Students who learn some of the concepts by practice, each at a pace of their own.

    A right answer has the probability sigmoid(base of the concept + ability of the student +
    1.2 · pace · log(1 + earlier tries on the concept)); paces are Gamma(2, 0.45), one for each
    student and concept.
    """
    rng = np.random.default_rng(settings.seed)
    base = rng.normal(_BASE, _BASE_SPREAD, settings.concepts)
    return [_one(settings, base, rng, number) for number in range(settings.students)]


def _one(
    settings: Generated, base: np.ndarray[tuple[int], np.dtype[np.float64]],
    rng: np.random.Generator, number: int,
) -> Student:  # fmt: skip
    active = rng.choice(settings.concepts, settings.active, replace=False)
    pace = rng.gamma(_SHAPE, _SCALE, settings.concepts)
    ability = rng.normal(0, _ABILITY_SPREAD)
    asked = rng.choice(active, settings.answers)
    same = np.tril(asked[:, None] == asked, -1)  # whether an earlier step asked the same
    odds = base[asked] + ability + _GAIN * pace[asked] * np.log1p(same.sum(axis=1))
    known = 1 / (1 + np.exp(-odds))
    right = (rng.random(settings.answers) < known).astype(int)
    return Student(
        place=f"generated student {number + 1}",
        concepts=[f"c{concept + 1}" for concept in asked],
        right=right.tolist(),
        question=list(range(settings.answers)),
        known=known,
    )
