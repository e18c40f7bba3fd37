"""What students answered, one after another, and the tensors that models make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bequest.lazy import numpy as np
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Histories:
    """Answers of students, one student after another; no padding anywhere.

    An answer to a question with several concepts stands there once for each of them.

    names: of the concepts.
    lengths: entries of each student, int64 [n].
    concept: position in `names`; right: 0 or 1; question: a number that entries of one answer
        share and that rises from answer to answer of a student; int64 [entries].
    """

    names: tuple[str, ...]
    lengths: NDArray[np.int64]
    concept: NDArray[np.int64]
    right: NDArray[np.int64]
    question: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """[n]."""
        return (len(self.lengths),)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: Any) -> Histories:
        """The students at `rows`: a slice, or places [m]."""
        whole = isinstance(rows, slice)
        places = np.arange(len(self))[rows if whole else np.array([int(row) for row in rows], int)]
        entries = self.entries(places)
        parts = (self.concept[entries], self.right[entries], self.question[entries])
        return Histories(self.names, self.lengths[places], *parts)

    def entries(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the entries of these students stand, one student after another."""
        lengths = self.lengths[places]
        starts = (np.cumsum(self.lengths) - self.lengths)[places]
        before = np.cumsum(lengths) - lengths
        return np.repeat(starts - before, lengths) + np.arange(lengths.sum())

    def before(self) -> NDArray[np.int64]:
        """For each entry the place, within its student, of the last one of the question before.

        -1 for a student's first question: nothing comes before.
        """
        starts = np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        place = np.arange(len(self.question))
        new = np.r_[True, self.question[1:] != self.question[:-1]][: len(place)]
        new |= place == starts
        return np.maximum.accumulate(np.where(new, place, 0)) - starts - 1


class Steps(NamedTuple):
    """Histories as tensors [batch, steps], padded at the end.

    concept: int64, 0 where padded; right: int64, 0 where padded.
    before: the last step that may be known when this one is asked; -1 where none is, and where
        padded. An entry never sees the others of its own question, which share its answer.
    length: entries of each student, int64 [batch].
    """

    concept: torch.Tensor
    right: torch.Tensor
    before: torch.Tensor
    length: torch.Tensor

    @property
    def asked(self) -> torch.Tensor:
        """The steps that are predicted: their places in the flattened [batch · steps]."""
        return (self.before >= 0).flatten().nonzero()[:, 0]

    @property
    def told(self) -> torch.Tensor:
        """The steps that another one follows, boolean [batch, steps - 1]."""
        places = torch.arange(self.concept.shape[1] - 1, device=self.length.device)
        return places < self.length[:, None] - 1

    def codes(self, concepts: int) -> torch.Tensor:
        """Concept and answer of each step but the last as one number: [batch, steps - 1]."""
        return (self.concept + concepts * self.right)[:, :-1]

    def states(self, hidden: torch.Tensor) -> torch.Tensor:
        """What is known before each predicted step, of `hidden` [batch, steps - 1, width]."""
        asked = self.asked
        wide = self.concept.shape[1]
        student = asked // wide
        places = student * (wide - 1) + self.before.flatten()[asked]
        return hidden.flatten(0, 1).index_select(0, places)


def padded(
    histories: Histories, numbers: NDArray[np.int64] | None = None, device: Any = "cpu"
) -> Steps:
    """The tensors of histories. numbers: the model's own number of each concept, if it differs."""
    lengths = histories.lengths
    present = np.arange(lengths.max(initial=0)) < lengths[:, None]
    concept = histories.concept if numbers is None else numbers[histories.concept]

    def laid(values: NDArray[np.int64], fill: int) -> torch.Tensor:
        whole = np.full(present.shape, fill, np.int64)
        whole[present] = values
        return torch.from_numpy(whole).to(device)

    return Steps(
        laid(concept, 0),
        laid(histories.right, 0),
        laid(histories.before(), -1),
        torch.from_numpy(np.array(lengths)).to(device),
    )


def of_like_length(histories: Histories, most: int) -> Iterator[NDArray[np.int64]]:
    """Places of students with histories of like length together, the longest first.

    most: entries at once, padding included.
    """
    order = np.argsort(-histories.lengths, kind="stable")
    start = 0
    while start < len(order):
        end = start + max(1, most // int(histories.lengths[order[start]]))
        yield order[start:end]
        start = end
