"""Three sides of a data set: the same sample is never on two, nor is a group.

Where a sample goes is decided by its content id (or that of its group's name) and the seed alone:
they give a pseudo-random place from 0 to 1, of which the test takes the low end and validation the
high one. So no other row matters: samples that are added or removed move none of the others, and
shares are met on average.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from bequest.build.settings import SplitSettings
    from bequest.core.live import Inputs, SplitName

    Sides = dict[SplitName, NDArray[np.int64]]

T = TypeVar("T")
SIDES: tuple[SplitName, ...] = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
FIELD_SIDES = {"path": TRAIN, "validation_path": VALIDATION, "test_path": TEST}
# Added to the seed, so that samples chosen for another purpose are not those of one side.
CHOSEN, SHARED = 2**31, 2**32
# Seeds, and samples over all of them, that are looked through for one under which sides are usable.
_SEEDS, _SAMPLES = 100, 5_000_000


@dataclass(frozen=True)
class Pool:
    """All samples of a task; every array has one entry per sample.

    ids: content ids; may repeat. targets: indices of labels.
    side: position in `SIDES`; `TRAIN` where the data doesn't say.
    group: names of what must stay on one side, or None.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.int64]
    side: NDArray[np.int8]
    group: NDArray[np.str_] | None = None

    def take(self, rows: NDArray[np.int64]) -> Pool:
        """The samples at `rows`."""
        group = None if self.group is None else self.group[rows]
        return Pool(self.ids[rows], self.targets[rows], self.side[rows], group)

    def split(self, rows: NDArray[np.int64], inputs: Inputs) -> Split:
        """One side of a task: the samples at `rows`, whose inputs are prepared."""
        group = None if self.group is None else self.group[rows]
        unit = None if group is None else group_ids(group)
        return Split(inputs, self.targets[rows], self.ids[rows], unit, group)


def content_ids(samples: Iterable[bytes]) -> NDArray[np.int64]:
    """One id per sample from its canonical bytes: equal content, equal id; never negative."""
    digests = (blake2b(sample, digest_size=8).digest() for sample in samples)
    return np.fromiter((int.from_bytes(digest, "little") >> 1 for digest in digests), np.int64)


def array_ids(inputs: NDArray[np.generic]) -> NDArray[np.int64]:
    """Content ids of the entries of `inputs` [n, …]."""
    return content_ids(row.tobytes() for row in inputs)


def spread(of: Sequence[T], most: int | None) -> list[T]:
    """`most` of the entries at most, at even distances."""
    if most is None or most >= len(of):
        return list(of)
    return [of[number * len(of) // most] for number in range(most)]


def sampled(ids: NDArray[np.int64], most: int | None) -> NDArray[np.int64]:
    """Rows of `most` of the samples at most, in their order: a random choice by content.

    A sample more or less changes one of those chosen, if any.
    """
    if most is None or most >= len(ids):
        return np.arange(len(ids))
    return np.sort(np.argsort(draw_keys(ids, CHOSEN), kind="stable")[:most])


def share_of(ids: NDArray[np.int64], shares: int) -> NDArray[np.int64]:
    """Which of so many shares of equal size each sample is in, from 0, by content."""
    return (places(ids, SHARED) * shares).astype(np.int64)


def divide(pool: Pool, settings: SplitSettings) -> tuple[Sides, list[str]]:
    """Rows of `pool` for each side, in their order, and notes on what was left out.

    Repeated samples stay once, at the latest side of train, validation, test: so a test set
    stays whole and training loses what it shares with it. A side that the data don't bring is
    drawn from the training samples; a drawn validation side that no sample falls on is left out.
    Of few samples none may fall on a side: then, and where nobody named the seed, the first under
    which the sides are usable is taken, and a note says so.

    Raises:
        RequestError: a side would be empty.
    """
    sides, notes = _divided(pool, settings)
    empty = [name for name, rows in sides.items() if not len(rows)]
    if empty and "split_seed" not in settings.model_fields_set:
        seed = _usable_seed(pool, settings)
        if seed is not None:
            sides, notes = _divided(pool, settings.model_copy(update={"split_seed": seed}))
            told = f"no sample fell on {' and '.join(empty)}, so the sides were drawn again"
            return sides, [*notes, f"{told}: write `split_seed: {seed}` to keep them as data grow"]
    if empty:
        raise _nothing_left(empty, pool, settings)
    return sides, notes


def _nothing_left(empty: Sequence[str], pool: Pool, settings: SplitSettings) -> RequestError:
    groups = "" if pool.group is None else f" in {len(np.unique(pool.group))} groups"
    count = len(np.unique(pool.ids))
    what = f"no sample is left for {' and '.join(empty)}"
    return RequestError(
        Problem(
            f"{what}; there are {count} different samples{groups}",
            other_seed(pool, settings) or "give more data, or other shares",
            (empty[0],) if empty[0] != "train" else (),
        )
    )


def unseen(pool: Pool, sides: Sides, side: SplitName) -> NDArray[np.int64]:
    """Rows of a side whose label no training sample has."""
    rows = sides.get(side, np.zeros(0, np.int64))
    return rows[~np.isin(pool.targets[rows], pool.targets[sides["train"]])]


def other_seed(pool: Pool, settings: SplitSettings) -> str:
    """The advice to take the first seed that leaves no side empty and no label to the others alone.

    Empty where none is found.
    """
    seed = _usable_seed(pool, settings)
    return "" if seed is None else f"draw other sides with `split_seed: {seed}`, or other shares"


def _usable_seed(pool: Pool, settings: SplitSettings) -> int | None:
    if not _wanted(pool, settings):
        return None
    for seed in range(min(_SEEDS, _SAMPLES // max(1, len(pool.ids)))):
        sides, _ = _divided(pool, settings.model_copy(update={"split_seed": seed}))
        if all(len(rows) and not len(unseen(pool, sides, side)) for side, rows in sides.items()):
            return seed
    return None


def _divided(pool: Pool, settings: SplitSettings) -> tuple[Sides, list[str]]:
    rows, notes = _distinct(pool)
    kept = pool.take(rows)
    if kept.group is not None:
        apart = _groups_apart(kept, kept.group)
        if len(apart) < len(rows):
            notes.append(
                f"{len(rows) - len(apart)} samples were left out of training or validation: "
                "their groups also stand in a later split"
            )
        rows, kept = rows[apart], kept.take(apart)
    wanted = _wanted(pool, settings)
    side = _drawn(kept, wanted, settings.split_seed)
    sides = {name: rows[side == index] for index, name in enumerate(SIDES)}
    if not len(sides["validation"]) and VALIDATION not in pool.side:
        del sides["validation"]
        if VALIDATION in wanted:
            notes.append(f"no sample fell on validation, a share of {settings.validation:g}")
    if settings.train_samples:
        own = np.flatnonzero(side == TRAIN)
        chosen = _of_all_labels(kept.take(own), settings.train_samples, settings.split_seed)
        sides["train"] = rows[own[chosen]]
    return sides, notes


def _distinct(pool: Pool) -> tuple[NDArray[np.int64], list[str]]:
    """Rows of the first of each id on its latest side, and notes on the others.

    Of those in several groups the one of the first group, by name, so that order doesn't matter.
    """
    group = 0 * pool.ids if pool.group is None else pool.group
    order = np.lexsort((np.arange(len(pool.ids)), group, -pool.side))
    _, first, inverse = np.unique(pool.ids[order], return_index=True, return_inverse=True)
    keeper = np.empty(len(order), np.int64)
    keeper[order] = order[first][inverse]
    dropped = np.flatnonzero(keeper != np.arange(len(order)))
    return np.unique(keeper), _repeat_notes(pool, dropped, keeper[dropped])


def _repeat_notes(pool: Pool, dropped: NDArray[np.int64], kept: NDArray[np.int64]) -> list[str]:
    here, there = pool.side[dropped], pool.side[kept]
    same_label = pool.targets[dropped] == pool.targets[kept]
    apart = here != there
    overlaps = Counter(zip(there[apart].tolist(), here[apart].tolist(), strict=True))
    notes = [
        f"{count} samples of {SIDES[late]} also stood in {SIDES[early]}; "
        f"they were left out of {SIDES[early]}"
        for (late, early), count in sorted(overlaps.items())
    ]
    twice = int(np.sum(~apart & same_label))
    torn = int(np.sum(~apart & ~same_label))
    if twice:
        notes.append(f"{twice} exact repeats of samples were left out")
    if torn:
        notes.append(f"{torn} repeats of samples had another label; the first of each was kept")
    return notes


def _groups_apart(pool: Pool, group: NDArray[np.str_]) -> NDArray[np.int64]:
    """Rows whose group stands on no later side."""
    _, codes = np.unique(group, return_inverse=True)
    latest = np.zeros(codes.max() + 1, np.int8)
    np.maximum.at(latest, codes, pool.side)
    return np.flatnonzero(latest[codes] == pool.side)


def _wanted(pool: Pool, settings: SplitSettings) -> dict[int, float]:
    """The shares of the sides that the data don't bring."""
    shares = {TEST: settings.test, VALIDATION: settings.validation}
    return {side: share for side, share in shares.items() if share and side not in pool.side}


def _drawn(pool: Pool, wanted: dict[int, float], seed: int) -> NDArray[np.int8]:
    """The side of each sample: what is drawn comes from the training samples."""
    at = places(pool.ids if pool.group is None else group_ids(pool.group), seed)
    mine, side = pool.side == TRAIN, pool.side.copy()
    side[mine & (at < wanted.get(TEST, 0))] = TEST
    side[mine & (at >= 1 - wanted.get(VALIDATION, 0))] = VALIDATION
    return side


def _of_all_labels(pool: Pool, most: int, seed: int) -> NDArray[np.int64]:
    """Rows of `most` samples at most, about the same share of every label and one at least."""
    keys, targets = draw_keys(pool.ids, CHOSEN + seed), pool.targets
    order = np.lexsort((keys, targets))
    counts = np.bincount(targets)
    first = np.cumsum(counts) - counts
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - first[targets[order]]
    return np.sort(np.lexsort((keys, rank / counts[targets]))[:most])


def group_ids(group: NDArray[np.str_]) -> NDArray[np.int64]:
    """Content ids of the names of groups."""
    return content_ids(name.encode() for name in group.tolist())


def places(ids: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """A pseudo-random number per id and seed, from 0 to below 1, evenly spread."""
    return np.asarray((draw_keys(ids, seed) >> np.uint64(11)) * 2.0**-53, np.float64)


def draw_keys(ids: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """A pseudo-random number per id and seed (SplitMix64; Steele, Lea and Flood 2014)."""
    start = (seed + 1) * 0x9E3779B97F4A7C15 % 2**64
    state = ids.astype(np.uint64) + np.uint64(start)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return cast("NDArray[np.uint64]", state ^ (state >> np.uint64(31)))
