"""From samples to a live task: sides, preparation on the training side, fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.classification import Classification, fingerprint
from bequest.build.lookalikes import lookalike_notes
from bequest.build.splitting import divide
from bequest.build.unseen import refuse_unseen, single_label_notes
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.settings import SplitSettings
    from bequest.build.splitting import Pool
    from bequest.core.live import Inputs, SplitName

    Sides = Mapping[SplitName, NDArray[np.int64]]
    Prepared = tuple[Mapping[SplitName, Inputs], Mapping[str, Any]]


def assemble(
    settings: SplitSettings,
    name: str,
    kind: str,
    labels: tuple[str, ...],
    pool: Pool,
    prepare: Callable[[Sides], Prepared],
    notes: Sequence[str] = (),
    *,
    unlabelled: NDArray[np.int64] | None = None,
) -> Classification:
    """The live task of the samples in `pool`.

    prepare: from the rows of each side to its inputs, and a JSON-like account of what was done
        to them, which becomes part of the fingerprint.
    unlabelled: content ids of samples without a label; their rows come after those of the pool.

    Raises:
        RequestError: a side would be empty, or has labels that training lacks, or two labels look
            the same.
    """
    alike = lookalike_notes(labels)
    sides, found = divide(pool, settings)
    refuse_unseen(pool, sides, labels, settings)
    more: dict[SplitName, NDArray[np.int64]] = {}
    if unlabelled is not None:
        more["unlabelled"] = _only_there(unlabelled, pool) + len(pool.ids)
    inputs, done = prepare({**sides, **more})
    splits = {side: pool.split(rows, inputs[side]) for side, rows in sides.items()}
    found = [*found, *alike, *single_label_notes(pool, sides, labels)]
    if unlabelled is not None:
        ids = unlabelled[more["unlabelled"] - len(pool.ids)]
        splits["unlabelled"] = Split(inputs["unlabelled"], None, ids)
    return Classification(
        name=name,
        purpose=settings.purpose,
        kind=kind,
        shape=tuple(inputs["train"].shape[1:]),
        labels=labels,
        splits=splits,
        fingerprint=fingerprint(labels, splits, {"kind": kind, **done}),
        notes=(*notes, *found, *_untrained(pool.targets, sides, labels)),
        preparation=done,
    )


def standardized(matrix: NDArray[np.float64], sides: Sides, wanted: bool) -> Prepared:
    """Features [n, width] of each side in float32, with mean 0 and deviation 1 in training."""
    train = matrix[learned(sides)]
    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > 0, std, 1.0)  # a constant feature becomes 0
    if not wanted:
        mean, std = np.zeros_like(mean), np.ones_like(std)
    inputs = {
        side: ((matrix[rows] - mean) / std).astype(np.float32) for side, rows in sides.items()
    }
    return inputs, {"mean": mean.tolist(), "std": std.tolist()}


def learned(sides: Sides) -> NDArray[np.int64]:
    """The rows that are learned from, with a label or without: what preparation may look at."""
    return np.concatenate([sides[side] for side in ("train", "unlabelled") if side in sides])


def _only_there(unlabelled: NDArray[np.int64], pool: Pool) -> NDArray[np.int64]:
    """Places of the first of each id that has no label elsewhere.

    Raises:
        RequestError: there is none.
    """
    _, first = np.unique(unlabelled, return_index=True)
    rows = np.sort(first[~np.isin(unlabelled[first], pool.ids)])
    if not len(rows):
        what = "every row has a label, or the values of one that has"
        raise RequestError(Problem(what, "leave `unlabelled` out", ("unlabelled",)))
    return rows


def _untrained(targets: NDArray[np.int64], sides: Sides, labels: tuple[str, ...]) -> list[str]:
    absent = sorted(set(range(len(labels))) - set(targets[sides["train"]].tolist()))
    names = ", ".join(f"`{labels[index]}`" for index in absent)
    return [f"no training sample has the label {names}"] if absent else []
