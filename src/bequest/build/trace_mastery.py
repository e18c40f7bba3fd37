"""What a model thinks a student knows, concept by concept, as the answers come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bequest.build.trace_histories import Histories
from bequest.build.tracer import log_odds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bequest.core.live import Model

MOST_STUDENTS = 2
MOST_STEPS = 40
MOST_CONCEPTS = 6


@dataclass(frozen=True)
class Portrait:
    """The beginning of a test student's history, and the concepts that are followed in it.

    sample: content id; history: of one student; concepts: numbers of concepts, most asked first.
    known: true probability of each entry, or None.
    """

    sample: int
    history: Histories
    concepts: tuple[int, ...]
    known: NDArray[np.float64] | None


def portraits(
    histories: Histories, ids: NDArray[np.int64], known: NDArray[np.float64] | None
) -> tuple[Portrait, ...]:
    """The students with the most concepts that were asked at least three times, then by id."""
    found = [_portrait(histories, row, int(ids[row]), known) for row in range(len(histories))]

    def interest(one: Portrait) -> tuple[int, int, int]:
        return -len(one.concepts), -int(one.history.lengths[0]), one.sample

    return tuple(sorted(found, key=interest)[:MOST_STUDENTS])


def mastery(model: Model, portrait: Portrait) -> NDArray[np.float32]:
    """Probability of a right answer, were a concept asked after each step: [concepts, steps].

    Asked by what-if histories, so any model that traces can be shown, and nothing leaks back.
    """
    steps = int(portrait.history.lengths[0])
    asked = [_what_if(portrait.history, one, steps) for one in portrait.concepts]
    lengths = np.concatenate([each.lengths for each in asked])
    parts = [np.concatenate([getattr(each, name) for each in asked])
             for name in ("concept", "right", "question")]  # fmt: skip
    histories = Histories(portrait.history.names, lengths, *parts)
    odds = log_odds(model, histories)
    predicted = np.bincount(_owner(histories), minlength=len(histories))
    last = odds[np.cumsum(predicted) - 1]
    return (1 / (1 + np.exp(-last))).reshape(len(asked), steps).astype(np.float32)


def _owner(histories: Histories) -> NDArray[np.int64]:
    """The student of each predicted entry."""
    owner = np.repeat(np.arange(len(histories)), histories.lengths)
    return owner[histories.before() >= 0]


def _what_if(history: Histories, concept: int, steps: int) -> Histories:
    """The first 1 … `steps` entries, each followed by a question about the concept."""
    cuts = range(1, steps + 1)

    def laid(values: NDArray[np.int64], then: int) -> NDArray[np.int64]:
        return np.concatenate([np.r_[values[:cut], then] for cut in cuts])

    return Histories(
        history.names,
        np.arange(2, steps + 2),
        laid(history.concept, concept),
        laid(history.right, 0),  # never read: nothing comes after it
        laid(history.question, int(history.question.max()) + 1),
    )


def _portrait(
    histories: Histories, row: int, sample: int, known: NDArray[np.float64] | None
) -> Portrait:
    entries = histories.entries(np.array([row]))[:MOST_STEPS]
    concept = histories.concept[entries]
    history = Histories(
        histories.names,
        np.array([len(entries)]),
        concept,
        histories.right[entries],
        histories.question[entries],
    )
    numbers, counts = np.unique(concept, return_counts=True)
    often = numbers[np.lexsort((numbers, -counts))][: max(1, int((counts >= 3).sum()))]
    chosen = tuple(often[:MOST_CONCEPTS].tolist())
    return Portrait(sample, history, chosen, None if known is None else known[entries])
