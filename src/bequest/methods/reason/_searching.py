"""Searching a document for the sentence that supports a highlight, by a scorer of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.live import Preferred

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from bequest.lazy import torch

    Judge = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]
    Pages = Sequence[Sequence[str]]


@dataclass(eq=False)
class Searching:
    """A scorer that prefers sentences.

    judge: `f(highlights, texts)` gives one score each, higher is better; way: "linear", "binary" or
    "exclusion"; granularity: at so many sentences binary search ends.
    """

    scorer: Any
    judge: Judge
    way: str
    granularity: int = 1
    labels: tuple[str, ...] = ()
    answers: Collection[str] = frozenset({"prefer"})

    @property
    def module(self) -> torch.nn.Module:
        """The scorer's."""
        module: torch.nn.Module = self.scorer.module
        return module

    @property
    def inner(self) -> Any:
        """The scorer, whose tokens count."""
        return self.scorer

    def prefer(self, queries: Sequence[str], candidates: Pages) -> Preferred:
        """How well each sentence supports its highlight.

        Linear: the score of the sentence. Binary: in how many halves it was kept, so that those of
        the last range share the first place. Exclusion: minus the score of the document without it.
        """
        if self.way == "binary":
            return self._binary(queries, candidates)
        sizes = np.array([len(page) for page in candidates], np.int64)
        asked = [query for query, page in zip(queries, candidates, strict=True) for _ in page]
        if self.way == "linear":
            values = self.judge(asked, [text for page in candidates for text in page])
        else:
            values = -self.judge(asked, [
                " ".join([*page[:place], *page[place + 1 :]])
                for page in candidates for place in range(len(page))
            ])  # fmt: skip
        return Preferred(values, sizes, sizes)

    def _binary(self, queries: Sequence[str], candidates: Pages) -> Preferred:
        kept = [np.zeros(len(page)) for page in candidates]
        ranges = [(0, len(page)) for page in candidates]
        calls = np.zeros(len(candidates), np.int64)
        while open_ := [
            i for i, (start, end) in enumerate(ranges) if end - start > self.granularity
        ]:
            halves = [_halves(*ranges[i]) for i in open_]
            texts = [
                " ".join(candidates[i][start:end])
                for i, both in zip(open_, halves, strict=True)
                for start, end in both
            ]
            scores = self.judge([queries[i] for i in open_ for _ in range(2)], texts)
            for i, both, (first, second) in zip(open_, halves, scores.reshape(-1, 2), strict=True):
                ranges[i] = both[0] if first > second else both[1]
                kept[i][slice(*ranges[i])] += 1
                calls[i] += 2
        sizes = np.array([len(page) for page in candidates], np.int64)
        return Preferred(np.concatenate(kept), sizes, calls)


def _halves(start: int, end: int) -> tuple[tuple[int, int], tuple[int, int]]:
    middle = (start + end) // 2
    return (start, middle), (middle, end)
