"""The flip study: where a model gained, and how much of what its teacher could give it took.

A *gained* sample was wrong before and is right now; a teacher's *positive flip* is a sample that
the student had wrong before the transfer and the teacher has right. After Roth et al. 2024,
Fantastic Gains and Where to Find Them (arXiv 2310.17653), and its released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import TYPE_CHECKING, Any

from bequest.lazy import numpy as np
from bequest.measure.metric import Columns, Metric, defined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.measure.table import Cells

SHARES = (2, 5, 20, 50, 100)
ROTH = "Roth et al. 2024, Fantastic Gains and Where to Find Them, arXiv 2310.17653"


@dataclass(frozen=True)
class FlipStudy:
    """What became of a teacher's complementary knowledge.

    available: the teacher's positive flips by class, [classes]; gained: the student's.
    transfer_rate: samples gained, in classes with an available flip, by available flips; may
        exceed 1. NaN where nothing was available.
    top: for each percentage, the share of the gained samples in the classes that lead in
        available flips and together hold that many of them; NaN where nothing was gained.
    other: the share in the classes without any.
    entropy: of the classes of the gained samples, in nats; NaN where nothing was gained.
    """

    available: NDArray[np.int64]
    gained: NDArray[np.int64]
    transfer_rate: float
    top: Mapping[int, float]
    other: float
    entropy: float


def flip_study(
    before: Columns,
    after: Columns,
    teacher: Columns,
    shares: Sequence[int] = SHARES,
    *,
    as_released: bool = False,
) -> FlipStudy:
    """Study one student's transfer from one teacher.

    before, after, teacher: `correct` and `label` of the same samples, [n] each.
    shares: percentages of the available flips, above 0 and at most 100. Classes that hold equally
        many are taken in their order.
    as_released: count one class more into each of `top`, as the released code does; the transfer
        rate and `other` follow from the last.
    """
    classes = int(np.max(before["label"], initial=-1)) + 1
    available = _flips_by_class(before, teacher, classes)
    gained = _flips_by_class(before, after, classes)
    order = np.argsort(-available, kind="stable")
    held = {share: order[: _leading(available[order], share, as_released)] for share in shares}
    served = order[: _leading(available[order], 100, as_released)]
    return FlipStudy(
        available=available,
        gained=gained,
        transfer_rate=_ratio(gained[served].sum(), available.sum()),
        top={share: _ratio(gained[rows].sum(), gained.sum()) for share, rows in held.items()},
        other=1 - _ratio(gained[served].sum(), gained.sum()),
        entropy=float(_entropy(gained.astype(np.float64))),
    )


def flip_studies(
    cells: Cells, task: str, before: int, after: int, teacher: int
) -> dict[int, FlipStudy]:
    """The study of three rows on one task, by seed.

    Raises:
        ValueError: a row was not measured on the same samples as the others.
    """
    found = {}
    for seed in cells.seeds_of(after, task):
        rows = [cells.outcomes.get((row, task, seed)) for row in (before, after, teacher)]
        measured = [row for row in rows if row is not None]
        same = [np.array_equal(row.sample, measured[0].sample) for row in measured]
        if len(measured) < 3 or not all(same):
            raise ValueError(f"the three rows were not measured alike on {task} under seed {seed}")
        first, last, taught_by = (row.columns for row in measured)
        found[seed] = flip_study(first, last, taught_by)
    return found


def gain_entropy_of(before: Columns, after: Columns, weights: NDArray[Any]) -> NDArray[Any]:
    """Entropy of the classes of the gained samples, in nats; NaN where nothing was gained.

    = −Σ_c q_c · ln q_c,  q_c: share of class c among the gained samples

    Columns [n] or [n, k] for k pairs of models; weights [n] or [R, n].
    """
    gained = _gained(before, after)
    if gained.ndim == 1:
        return _weighted_entropy(gained, before["label"], weights)
    labels = np.broadcast_to(before["label"].reshape(len(gained), -1), gained.shape)
    pairs = zip(gained.T, labels.T, strict=True)
    return np.stack([_weighted_entropy(*pair, weights) for pair in pairs], axis=-1)


gain_entropy = Metric(
    "gain_entropy",
    "nats",
    "higher",
    "Entropy of the classes of the samples that were wrong before and are right now.",
    ROTH,
    "contrast",
    ("correct", "label"),
    (0.0, inf),
    gain_entropy_of,
    formula=defined(gain_entropy_of)[1],
)


def _gained(before: Columns, after: Columns) -> NDArray[np.bool_]:
    return np.asarray(after["correct"].astype(np.int8) > before["correct"].astype(np.int8))


def _flips_by_class(before: Columns, after: Columns, classes: int) -> NDArray[np.int64]:
    return np.bincount(before["label"][_gained(before, after)], minlength=classes)


def _leading(descending: NDArray[np.int64], share: int, one_more: bool) -> int:
    """How many of the leading classes hold `share` per cent of all; those that hold none don't."""
    reached = np.cumsum(descending) * 100 >= share * descending.sum()
    least = int(np.argmax(reached)) + 1 if descending.any() else 0
    return least + one_more


def _weighted_entropy(
    gained: NDArray[np.bool_], labels: NDArray[Any], weights: NDArray[Any]
) -> NDArray[Any]:
    rows = np.flatnonzero(gained)
    _, group = np.unique(labels[rows], return_inverse=True)
    member = np.eye(int(group.max(initial=-1)) + 1, dtype=weights.dtype)[group]  # [gained, classes]
    return _entropy(weights[..., rows] @ member)


def _entropy(masses: NDArray[Any]) -> NDArray[Any]:
    """Entropy over the last axis, of masses that need not sum to one."""
    total = masses.sum(axis=-1)
    shares = masses / np.where(total > 0, total, 1)[..., None]
    terms = shares * np.log(np.where(shares > 0, shares, 1))
    return np.where(total > 0, -terms.sum(axis=-1), nan)


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else nan
