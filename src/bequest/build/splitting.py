"""Three sides of a data set: the same sample is never on two, nor is a group.

Where samples go depends on their content and the seed, not on the order of rows: every sample has
a pseudo-random key of its content id, and shares are taken evenly along the samples sorted by
label and key.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from bequest.build.settings import SplitSettings
    from bequest.core.live import SplitName

T = TypeVar("T")
SIDES: tuple[SplitName, ...] = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)
FIELD_SIDES = {"path": TRAIN, "validation_path": VALIDATION, "test_path": TEST}


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


def divide(
    pool: Pool, settings: SplitSettings
) -> tuple[dict[SplitName, NDArray[np.int64]], list[str]]:
    """Rows of `pool` for each side, in their order, and notes on what was left out.

    Repeated samples stay once, at the latest side of train, validation, test: so a test set
    stays whole and training loses what it shares with it. A side that the data doesn't bring is
    drawn from the training samples.

    Raises:
        RequestError: a side would be empty.
    """
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
    side = _drawn(kept, settings)
    sides = {name: rows[side == index] for index, name in enumerate(SIDES)}
    if not settings.validation and not len(sides["validation"]):
        del sides["validation"]
    _refuse_empty(sides, kept)
    if settings.train_samples and settings.train_samples < len(sides["train"]):
        left = np.flatnonzero(side == TRAIN)
        share = settings.train_samples / len(left)
        order = left[
            np.lexsort((draw_keys(kept.ids[left], settings.split_seed), kept.targets[left]))
        ]
        sides["train"] = rows[np.sort(order[_evenly(len(order), share)])]
    return sides, notes


def _distinct(pool: Pool) -> tuple[NDArray[np.int64], list[str]]:
    """Rows of the first of each id on its latest side, and notes on the others."""
    order = np.lexsort((np.arange(len(pool.ids)), -pool.side))
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


def _drawn(pool: Pool, settings: SplitSettings) -> NDArray[np.int8]:
    shares = {TEST: settings.test, VALIDATION: settings.validation}
    wanted = {side: share for side, share in shares.items() if share and side not in pool.side}
    side = pool.side.copy()
    rows = np.flatnonzero(side == TRAIN)
    draw = _by_sample if pool.group is None else _by_group
    side[rows] = draw(pool.take(rows), wanted, settings.split_seed)
    return side


def _by_sample(pool: Pool, wanted: dict[int, float], seed: int) -> NDArray[np.int8]:
    side = np.zeros(len(pool.ids), np.int8)
    rows, left = np.lexsort((draw_keys(pool.ids, seed), pool.targets)), 1.0
    for index, share in wanted.items():
        taken = _evenly(len(rows), share / left)
        side[rows[taken]] = index
        rows, left = rows[~taken], left - share
    return side


def _evenly(count: int, share: float) -> NDArray[np.bool_]:
    """A mask over `count` places with `share` of them taken at even distances."""
    steps = np.floor(np.arange(count + 1) * share + 1e-9)
    return cast("NDArray[np.bool_]", np.diff(steps) > 0)


def _by_group(pool: Pool, wanted: dict[int, float], seed: int) -> NDArray[np.int8]:
    """Whole groups, large ones first, each to the side that lacks most of the group's labels."""
    names, codes = np.unique(cast("NDArray[np.str_]", pool.group), return_inverse=True)
    counts = np.zeros((len(names), pool.targets.max(initial=0) + 1))
    np.add.at(counts, (codes, pool.targets), 1)
    indices = [TRAIN, *wanted]
    shares = np.array([1 - sum(wanted.values()), *wanted.values()])
    quota = shares[:, None] * np.maximum(counts.sum(axis=0), 1)  # [sides, labels]
    lacking, side_of = quota.copy(), np.zeros(len(names), np.int8)
    keys = draw_keys(content_ids(name.encode() for name in names.tolist()), seed)
    for group in np.lexsort((keys, -counts.sum(axis=1))):
        best = int(np.argmax((lacking / quota) @ counts[group]))
        lacking[best] -= counts[group]
        side_of[group] = indices[best]
    return side_of[codes]


def draw_keys(ids: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """A pseudo-random number per id and seed (SplitMix64; Steele, Lea and Flood 2014)."""
    start = (seed + 1) * 0x9E3779B97F4A7C15 % 2**64
    state = ids.astype(np.uint64) + np.uint64(start)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return cast("NDArray[np.uint64]", state ^ (state >> np.uint64(31)))


def _refuse_empty(sides: dict[SplitName, NDArray[np.int64]], pool: Pool) -> None:
    empty = [name for name, rows in sides.items() if not len(rows)]
    if empty:
        groups = "" if pool.group is None else f" in {len(np.unique(pool.group))} groups"
        raise RequestError(
            Problem(
                f"no sample is left for {' and '.join(empty)}; "
                f"there are {len(pool.ids)} different samples{groups}",
                "give more data, or other shares",
                (empty[0],) if empty[0] != "train" else (),
            )
        )
