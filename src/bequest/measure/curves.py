"""Learning speed and stability within tasks: metrics that read scores during training.

`curves` is c[..., T, E]: the score on each task at E checkpoints while that task is learned.
`within` is c[..., T, T, E]: the score on task j at the checkpoints of task i. Conventions on
missing values, signs and names are those of `continual`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError
from bequest.lazy import numpy as np
from bequest.measure.missing import Scores, check, floats, matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray


def lca(z: Scores, at: Scores) -> NDArray[Any]:
    """Learning curve area: mean score on the task being learned over its first mini-batches.

    = 1/(β+1) · Σ_{m=0…β} Z_m

    z: Z_m, that score averaged over tasks, [..., β+1]; at: the numbers m of mini-batches, which
    must be 0, 1, … β.
    """
    means = floats(z)
    if not np.array_equal(at, np.arange(means.shape[-1])):
        fix = "measure at every mini-batch from 0 on, or ask for agem_code_lca"
        raise RequestError(Problem("lca needs the scores after each mini-batch", fix))
    check("lca", "z", means, np.ones(means.shape[-1:], bool))
    return np.asarray(means.mean(axis=-1))


def agem_code_lca(z: Scores, at: Scores) -> NDArray[Any]:
    """Learning curve area as A-GEM's released code has it: trapezoids over recorded mini-batches.

    = 1/(m_E − m_1) · Σ_{e<E} (m_{e+1} − m_e) · (Z_{m_e} + Z_{m_{e+1}}) / 2

    z: Z_m, the score on the task being learned averaged over tasks, [..., E]; at: the numbers m
    of the E mini-batches after which it was recorded, rising.
    """
    means, steps = floats(z), floats(at)
    check("agem_code_lca", "z", means, np.ones(means.shape[-1:], bool))
    if len(steps) == 1:
        return np.asarray(means[..., 0])
    return np.asarray(np.trapezoid(means, steps) / (steps[-1] - steps[0]))


def libero_curves(curves: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """The curves as if training had stopped at the best checkpoint; [..., T, E]."""
    found = floats(curves)
    check("libero_curves", "curves", found, np.ones(found.shape[-2:], bool))
    best = (found.argmin if lower_is_better else found.argmax)(axis=-1)[..., None]
    height = np.take_along_axis(found, best, axis=-1)
    return np.where(np.arange(found.shape[-1]) > best, height, found)


def libero_fwt(curves: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Learning speed: mean height of the curve of the task being learned, held at its best.

    = 1/T · Σ_j 1/E · Σ_e h[j,e]

    Shares nothing with the forward transfer of GEM but the name.
    """
    held = libero_curves(curves, lower_is_better=lower_is_better)
    return np.asarray(held.mean(axis=(-2, -1)))


def libero_nbt(scores: Scores, curves: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Negative backward transfer: mean drop from the best checkpoint to later stages, over T tasks.

    = 1/T · Σ_{j<T} 1/(T−j) · Σ_{i>j} (h[j,E] − R[i,j])

    The last task has no later stage and counts as 0.
    """
    scores = matrix("libero_nbt", scores, lambda i, j, end: i > j)
    held = libero_curves(curves, lower_is_better=lower_is_better)
    return _nbt(scores, held[..., -1], lower_is_better)


def libero_code_nbt(scores: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Negative backward transfer as in LIBERO's notebook: from R[j, j] to later stages, over T.

    = 1/T · Σ_{j<T} 1/(T−j) · Σ_{i>j} (R[j,j] − R[i,j])
    """
    scores = matrix("libero_code_nbt", scores, lambda i, j, end: (i >= j) & (j < end))
    return _nbt(scores, np.diagonal(scores, axis1=-2, axis2=-1), lower_is_better)


def libero_auc(scores: Scores, curves: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Mean over tasks of the mean of a task's learning speed and its scores at later stages.

    = 1/T · Σ_j 1/(T−j+1) · (1/E · Σ_e h[j,e] + Σ_{i>j} R[i,j])
    """
    scores = matrix("libero_auc", scores, lambda i, j, end: i > j, least=1)
    speed = libero_curves(curves, lower_is_better=lower_is_better).mean(axis=-1)
    size = scores.shape[-1]
    later = np.where(_later(size), scores, 0).sum(axis=-2)
    return np.asarray(((speed + later) / np.arange(size, 0, -1)).mean(axis=-1))


def min_accuracy(scores: Scores, within: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Mean over earlier tasks of the worst score at any time after they were learned.

    = 1/(T−1) · Σ_{j<T} min_{i>j} min(R[i,j], min_e c[i,j,e])

    within: checkpoints after the first update of each task; see the top of this file.
    """
    scores = matrix("min_accuracy", scores, lambda i, j, end: i > j)
    during, size = floats(within), scores.shape[-1]
    later = np.broadcast_to(_later(size)[..., None], during.shape[-3:])
    check("min_accuracy", "within", during, later)
    sign = -1 if lower_is_better else 1
    seen = np.concatenate([scores[..., None], during], axis=-1)  # [..., T, T, 1 + E]
    worst = np.where(_later(size)[..., None], sign * seen, np.inf).min(axis=(-3, -1))
    return np.asarray(sign * worst[..., :-1].mean(axis=-1))


def wc_accuracy(scores: Scores, within: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Worst case: the last task's score and `min_accuracy` of the others, weighted by tasks.

    = 1/T · R[T,T] + (1 − 1/T) · min_accuracy
    """
    worst = min_accuracy(scores, within, lower_is_better=lower_is_better)
    last = matrix("wc_accuracy", scores, lambda i, j, end: (i == end) & (j == end))[..., -1, -1]
    share = 1 / np.shape(scores)[-1]
    return np.asarray(share * last + (1 - share) * worst)


def _nbt(scores: Scores, best: NDArray[Any], lower_is_better: bool) -> NDArray[Any]:
    size = scores.shape[-1]
    drops = best[..., None, :] - scores  # [..., T, T]
    total = np.where(_later(size), -drops if lower_is_better else drops, 0).sum(axis=-2)
    return np.asarray((total[..., :-1] / np.arange(size - 1, 0, -1)).sum(axis=-1) / size)


def _later(size: int) -> NDArray[np.bool_]:
    return np.tri(size, k=-1, dtype=bool)
