"""Where what belongs to a query stands when a gallery is ranked for it, and what that is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

WITHIN = (1, 5, 10, 100)  # first places that recall is taken of
GAINED_WITHIN = 10  # first places that count for the gain
_AT_ONCE = 1 << 24  # scores that are held together


@dataclass(frozen=True)
class Relevance:
    """Which items of a gallery belong to which query.

    items: places in the gallery, those of one query after those of another, int64 [all matches].
    ends: where each query's matches end in `items`, int64 [queries].
    own: for each query its own place in the gallery, which is left out of its ranking; −1 where it
        doesn't lie there; int64 [queries].
    """

    items: NDArray[np.int64]
    ends: NDArray[np.int64]
    own: NDArray[np.int64]

    def of(self, query: int) -> NDArray[np.int64]:
        """Places of what belongs to a query, without itself."""
        begin = int(self.ends[query - 1]) if query else 0
        found = self.items[begin : int(self.ends[query])]
        others: NDArray[np.int64] = found[found != self.own[query]]
        return others

    def matched(self) -> NDArray[np.int64]:
        """The queries that anything belongs to; others can't be judged and are skipped."""
        there = (len(self.of(query)) for query in range(len(self.ends)))
        return np.flatnonzero(np.fromiter(there, bool, len(self.ends)))


def relevance(matches: Sequence[Sequence[int]], own: Sequence[int] | None = None) -> Relevance:
    """matches: places in the gallery for each query; own: as in `Relevance`, none if left out."""
    ends = np.cumsum([len(each) for each in matches], dtype=np.int64)
    items = np.array([place for each in matches for place in each], np.int64)
    places = np.full(len(matches), -1) if own is None else np.asarray(own)
    return Relevance(items, ends, places.astype(np.int64))


def of_equal_labels(
    queries: NDArray[Any], gallery: NDArray[Any], own: NDArray[np.int64] | None = None
) -> Relevance:
    """What has the label of the query belongs to it. queries, gallery: a label each, [q], [n]."""
    order = np.argsort(gallery, kind="stable")
    sorted_labels = gallery[order]
    begins = np.searchsorted(sorted_labels, queries, side="left")
    ends = np.searchsorted(sorted_labels, queries, side="right")
    spans = [order[begin:end] for begin, end in zip(begins, ends, strict=True)]
    return relevance([span.tolist() for span in spans], None if own is None else own.tolist())


def scores(queries: NDArray[Any], gallery: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Number and scores of each query, [n]: inner products, over the shorter of both lengths.

    queries: [q, width]; gallery: [n, width], which may be memory-mapped.
    """
    width = min(queries.shape[1], gallery.shape[1])
    items = gallery[:, :width].T
    step = max(1, _AT_ONCE // max(1, len(gallery)))
    for start in range(0, len(queries), step):
        block = queries[start : start + step, :width] @ items
        yield from enumerate(block, start)


def places(found: NDArray[Any], wanted: NDArray[np.int64], own: int = -1) -> NDArray[np.int64]:
    """At which places of the ranking the wanted items stand, counted from 1, the best first.

    found: the score of every item of the gallery, [n]; wanted: places in it, [w]; own: an item
    that is left out. Of equal scores the one that lies first in the gallery is ranked first.
    """
    if own >= 0:
        found = found.copy()
        found[own] = -np.inf
    ascending = np.sort(found)
    value = found[wanted]
    above = len(found) - np.searchsorted(ascending, value, side="right")
    tied = above + np.searchsorted(ascending, value, side="left") < len(found) - 1
    for number in np.flatnonzero(tied):
        above[number] += np.count_nonzero(found[: wanted[number]] == value[number])
    return np.sort(above + 1)


def worth(ranks: NDArray[np.int64]) -> dict[str, float]:
    """What the places of all that belongs to one query are worth; ranks: sorted, from 1, [w].

    `first_rank`; `average_precision`, over the complete ranking; `gain`, the normalised discounted
    cumulative gain within the first 10; `recall_1` … `recall_100`.
    """
    count = np.arange(1, len(ranks) + 1)
    gains = 1 / np.log2(ranks[ranks <= GAINED_WITHIN] + 1.0)
    ideal = 1 / np.log2(count[:GAINED_WITHIN] + 1.0)
    return {
        "first_rank": int(ranks[0]),
        "average_precision": float((count / ranks).mean()),
        "gain": float(gains.sum() / ideal.sum()),
        **{f"recall_{k}": float((ranks <= k).mean()) for k in WITHIN},
    }


def judged(
    queries: NDArray[Any], gallery: NDArray[Any], belongs: Relevance
) -> dict[str, NDArray[Any]]:
    """`worth` of every query that has a match, a column each, in the order of the queries.

    queries, gallery: as for `scores`.
    """
    rows = belongs.matched()
    found = [
        worth(places(row, belongs.of(rows[number]), int(belongs.own[rows[number]])))
        for number, row in scores(queries[rows], gallery)
    ]
    return {name: np.array([each[name] for each in found]) for name in found[0]} if found else {}
