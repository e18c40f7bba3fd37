"""Transfer and forgetting over a sequence of tasks: every published formula, under its own name.

`scores` is R[..., T, T]: R[i, j] is the score on task j after learning task i, both counted from
one; leading dimensions (resamples, seeds) are computed side by side. Missing cells are NaN; one
that a metric needs is an error, never a zero. Averages keep the unit and direction of the scores.
Differences read as for scores where more is better; `lower_is_better` turns them around for
losses. Papers use the same word for different formulas, so where they clash the name carries the
source; a bare name is the paper's formula that most others mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.lazy import numpy as np
from bequest.measure.missing import Scores, matrix, vector

if TYPE_CHECKING:
    from numpy.typing import NDArray


def average_accuracy(scores: Scores) -> NDArray[Any]:
    """Mean score over all tasks after the last one was learned.

    = 1/T · Σ_j R[T,j]
    """
    last = matrix("average_accuracy", scores, lambda i, j, end: i == end, least=1)[..., -1, :]
    return np.asarray(last.mean(axis=-1))


def average_accuracy_by_stage(scores: Scores) -> NDArray[Any]:
    """A_k: mean score over the tasks learned so far, after each task; [..., T]."""
    scores = matrix("average_accuracy_by_stage", scores, lambda i, j, end: i >= j, least=1)
    size = scores.shape[-1]
    return np.asarray(np.where(np.tri(size, dtype=bool), scores, 0).sum(-1) / _counted(size))


def average_incremental_accuracy(scores: Scores) -> NDArray[Any]:
    """Mean over stages of the mean score over the tasks learned so far.

    = 1/T · Σ_k 1/k · Σ_{j≤k} R[k,j]
    """
    return np.asarray(average_accuracy_by_stage(scores).mean(axis=-1))


def learning_accuracy(scores: Scores) -> NDArray[Any]:
    """Mean score of each task when it had just been learned (plasticity).

    = 1/T · Σ_j R[j,j]
    """
    scores = matrix("learning_accuracy", scores, lambda i, j, end: i == j, least=1)
    return np.asarray(_learned(scores).mean(axis=-1))


def bwt(scores: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Backward transfer: mean change of earlier tasks' scores from just learned to the end.

    = 1/(T−1) · Σ_{j<T} (R[T,j] − R[j,j])
    """
    return np.asarray(bwt_by_task(scores, lower_is_better=lower_is_better).mean(axis=-1))


def bwt_by_task(scores: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """R[T, j] - R[j, j] for each task but the last; [..., T-1]."""
    scores = matrix("bwt", scores, lambda i, j, end: (j < end) & ((i == j) | (i == end)))
    return _gain(_learned(scores), scores[..., -1, :], lower_is_better)[..., :-1]


def gem_code_bwt(scores: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Backward transfer as GEM's released code has it: divided by T instead of T - 1.

    = 1/T · Σ_{j<T} (R[T,j] − R[j,j])
    """
    return _over_all(bwt(scores, lower_is_better=lower_is_better), scores)


def fwt(scores: Scores, given: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Forward transfer: mean gain of the next task's score over the untrained model's.

    = 1/(T−1) · Σ_{j>1} (R[j−1,j] − g[j])

    given: scores of the model before any training, [..., T]; that of task 1 is not needed.
    """
    scores = matrix("fwt", scores, lambda i, j, end: i == j - 1)
    before = vector("fwt", given, "given", scores, lambda j, end: j > 0)
    next_one = np.diagonal(scores, offset=1, axis1=-2, axis2=-1)
    return np.asarray(_gain(before[..., 1:], next_one, lower_is_better).mean(axis=-1))


def gem_code_fwt(scores: Scores, given: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Forward transfer as GEM's released code has it: divided by T instead of T - 1.

    = 1/T · Σ_{j>1} (R[j−1,j] − g[j])
    """
    return _over_all(fwt(scores, given, lower_is_better=lower_is_better), scores)


def fwt_over_single(
    scores: Scores, single: Scores, *, lower_is_better: bool = False
) -> NDArray[Any]:
    """Mean gain of each task's score when just learned over learning it alone (as in CUBER).

    = 1/T · Σ_j (R[j,j] − s[j])

    single: scores of models that learned only that task, [..., T].
    """
    scores = matrix("fwt_over_single", scores, lambda i, j, end: i == j)
    alone = vector("fwt_over_single", single, "single", scores)
    return np.asarray(_gain(alone, _learned(scores), lower_is_better).mean(axis=-1))


def forgetting_by_stage(
    scores: Scores, *, since_trained: bool = False, lower_is_better: bool = False
) -> NDArray[Any]:
    """F_k for k = 2 … T: mean drop of earlier tasks from their best earlier score; [..., T-1].

    since_trained: a task's best counts from when it was learned, so that scores of tasks not yet
    learned are not needed. The paper's maximum runs over all earlier stages.
    """
    drops, earlier = _drops(scores, since_trained, lower_is_better)
    return np.asarray(np.where(earlier, drops, 0).sum(axis=-1) / earlier.sum(axis=-1))


def forgetting(
    scores: Scores, *, since_trained: bool = False, lower_is_better: bool = False
) -> NDArray[Any]:
    """Mean drop of each earlier task from its best earlier score to the end; negative is a gain.

    = 1/(T−1) · Σ_{j<T} (max_{l<T} R[l,j] − R[T,j])
    """
    by_stage = forgetting_by_stage(
        scores, since_trained=since_trained, lower_is_better=lower_is_better
    )
    return np.asarray(by_stage[..., -1])


def forgetting_since_trained(scores: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Forgetting whose best earlier score counts only from when the task was learned.

    = 1/(T−1) · Σ_{j<T} (max_{j≤l<T} R[l,j] − R[T,j])
    """
    return forgetting(scores, since_trained=True, lower_is_better=lower_is_better)


def worst_forgetting_by_stage(
    scores: Scores, *, since_trained: bool = False, lower_is_better: bool = False
) -> NDArray[Any]:
    """For k = 2 … T: largest drop of any earlier task from its best earlier score; [..., T-1]."""
    drops, earlier = _drops(scores, since_trained, lower_is_better)
    return np.asarray(np.where(earlier, drops, -np.inf).max(axis=-1))


def worst_forgetting(
    scores: Scores, *, since_trained: bool = False, lower_is_better: bool = False
) -> NDArray[Any]:
    """Largest drop of any earlier task from its best earlier score to the end.

    = max_{j<T} (max_{l<T} R[l,j] − R[T,j])
    """
    by_stage = worst_forgetting_by_stage(
        scores, since_trained=since_trained, lower_is_better=lower_is_better
    )
    return np.asarray(by_stage[..., -1])


def mammoth_forgetting(scores: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Forgetting in Mammoth: from the best score since learned, the last included; never negative.

    = 1/(T−1) · Σ_{j<T} (max_{j≤l≤T} R[l,j] − R[T,j])

    The released code counts scores before a task was learned as 0; for scores that are not
    negative that is the same as leaving them out, as done here.
    """
    scores = matrix("mammoth_forgetting", scores, lambda i, j, end: (i >= j) & (j < end))
    signed = -scores if lower_is_better else scores
    best = np.where(np.tri(scores.shape[-1], dtype=bool), signed, -np.inf).max(axis=-2)
    return np.asarray((best - signed[..., -1, :])[..., :-1].mean(axis=-1))


def intransigence_by_stage(
    scores: Scores, joint: Scores, *, lower_is_better: bool = False
) -> NDArray[Any]:
    """I_k: what learning task k in turn lost to learning tasks 1 … k together; [..., T].

    joint: score on task k of a model trained on the data of tasks 1 … k at once, [..., T].
    """
    scores = matrix("intransigence_by_stage", scores, lambda i, j, end: i == j, least=1)
    together = vector("intransigence_by_stage", joint, "joint", scores)
    return _gain(_learned(scores), together, lower_is_better)


def intransigence(scores: Scores, joint: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """I_T: what learning the last task in turn lost to learning all tasks together.

    = m[T] − R[T,T]

    joint: as for `intransigence_by_stage`; only its last entry is needed.
    """
    scores = matrix("intransigence", scores, lambda i, j, end: (i == end) & (j == end), least=1)
    together = vector("intransigence", joint, "joint", scores, lambda j, end: j == end)
    return _gain(scores[..., -1, -1], together[..., -1], lower_is_better)


def diaz_accuracy(scores: Scores) -> NDArray[Any]:
    """Mean over all stages of the scores of all tasks learned so far, every cell alike.

    = 2/(T(T+1)) · Σ_{i≥j} R[i,j]
    """
    scores = matrix("diaz_accuracy", scores, lambda i, j, end: i >= j, least=1)
    return _mean_of(scores, np.tri(scores.shape[-1], dtype=bool))


def diaz_bwt(scores: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Mean change of earlier tasks' scores since just learned, over all later stages.

    = 2/(T(T−1)) · Σ_{i>j} (R[i,j] − R[j,j])
    """
    scores = matrix("diaz_bwt", scores, lambda i, j, end: (i >= j) & (j < end))
    changes = _gain(_learned(scores)[..., None, :], scores, lower_is_better)
    return _mean_of(changes, np.tri(scores.shape[-1], k=-1, dtype=bool))


def diaz_rem(scores: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Remembering: 1 less the size of a negative `diaz_bwt`; 1 where nothing was forgotten.

    = 1 + min(diaz_bwt, 0)
    """
    return np.asarray(1 + np.minimum(diaz_bwt(scores, lower_is_better=lower_is_better), 0))


def diaz_bwt_plus(scores: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """The positive part of `diaz_bwt`.

    = max(diaz_bwt, 0)
    """
    return np.asarray(np.maximum(diaz_bwt(scores, lower_is_better=lower_is_better), 0))


def diaz_fwt(scores: Scores) -> NDArray[Any]:
    """Mean score of tasks not yet learned, over all stages; no baseline is subtracted.

    = 2/(T(T−1)) · Σ_{i<j} R[i,j]
    """
    scores = matrix("diaz_fwt", scores, lambda i, j, end: i < j)
    return _mean_of(scores, ~np.tri(scores.shape[-1], dtype=bool))


def mtil_transfer_by_task(scores: Scores) -> NDArray[Any]:
    """Mean score of each task but the first over the stages before it; [..., T-1]."""
    scores = matrix("mtil_transfer", scores, lambda i, j, end: i < j)
    size = scores.shape[-1]
    before = np.where(np.tri(size, dtype=bool), 0, scores).sum(axis=-2)
    return np.asarray(before[..., 1:] / _counted(size)[:-1])


def mtil_transfer(scores: Scores) -> NDArray[Any]:
    """Mean over tasks of their mean score before they were learned (zero-shot ability kept).

    = 1/(T−1) · Σ_{j>1} 1/(j−1) · Σ_{i<j} R[i,j]

    In the unit of the scores; the publication gives percent. The row before task 1 has no part.
    """
    return np.asarray(mtil_transfer_by_task(scores).mean(axis=-1))


def mtil_avg_by_task(scores: Scores) -> NDArray[Any]:
    """Mean score of each task over all stages; [..., T]."""
    scores = matrix("mtil_avg", scores, lambda i, j, end: i >= 0, least=1)
    return np.asarray(scores.mean(axis=-2))


def mtil_avg(scores: Scores) -> NDArray[Any]:
    """Mean of all scores: every stage, every task.

    = 1/T² · Σ_i Σ_j R[i,j]
    """
    return np.asarray(mtil_avg_by_task(scores).mean(axis=-1))


def mtil_last(scores: Scores) -> NDArray[Any]:
    """Mean score over all tasks after the last stage; MTIL's name for `average_accuracy`.

    = 1/T · Σ_j R[T,j]
    """
    return average_accuracy(scores)


def bwt_over_given(scores: Scores, given: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Mean gain over the untouched model on tasks learned earlier, over all later stages.

    = 2/(T(T−1)) · Σ_{i>j} (R[i,j] − g[j])

    given: scores of the model before any training, [..., T].
    """
    scores = matrix("bwt_over_given", scores, lambda i, j, end: i > j)
    before = vector("bwt_over_given", given, "given", scores, lambda j, end: j < end)
    gains = _gain(before[..., None, :], scores, lower_is_better)
    return _mean_of(gains, np.tri(scores.shape[-1], k=-1, dtype=bool))


def fwt_over_given(scores: Scores, given: Scores, *, lower_is_better: bool = False) -> NDArray[Any]:
    """Mean gain over the untouched model on tasks not yet learned, over all stages.

    = 2/(T(T−1)) · Σ_{i<j} (R[i,j] − g[j])

    given: scores of the model before any training, [..., T].
    """
    scores = matrix("fwt_over_given", scores, lambda i, j, end: i < j)
    before = vector("fwt_over_given", given, "given", scores, lambda j, end: j > 0)
    gains = _gain(before[..., None, :], scores, lower_is_better)
    return _mean_of(gains, ~np.tri(scores.shape[-1], dtype=bool))


def average_perplexity(scores: Scores) -> NDArray[Any]:
    """Mean over tasks of exp(cross-entropy in nats) after the last task was learned.

    = 1/T · Σ_j exp(R[T,j])
    """
    last = matrix("average_perplexity", scores, lambda i, j, end: i == end, least=1)[..., -1, :]
    return np.asarray(np.exp(last).mean(axis=-1))


def perplexity_of_average(scores: Scores) -> NDArray[Any]:
    """exp of the mean over tasks of the cross-entropy in nats after the last task was learned.

    = exp(1/T · Σ_j R[T,j])
    """
    last = matrix("perplexity_of_average", scores, lambda i, j, end: i == end, least=1)
    return np.asarray(np.exp(last[..., -1, :].mean(axis=-1)))


def perplexity_forgetting(scores: Scores) -> NDArray[Any]:
    """Mean rise of earlier tasks' exp(cross-entropy in nats) from just learned to the end.

    = 1/(T−1) · Σ_{j<T} (exp(R[T,j]) − exp(R[j,j]))
    """
    return bwt(np.exp(scores))


def _learned(scores: Scores) -> NDArray[Any]:
    return np.diagonal(scores, axis1=-2, axis2=-1)


def _gain(before: Scores, after: Scores, lower_is_better: bool) -> NDArray[Any]:
    return np.asarray(before - after if lower_is_better else after - before)


def _drops(
    scores: Scores, since_trained: bool, lower_is_better: bool
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """f[k, j] for k = 2 … T, [..., T-1, T-1], and which of them have j < k."""
    scores = matrix(
        "forgetting", scores, lambda i, j, end: (j < end) & ((i >= j) | (not since_trained))
    )
    signed = (-scores if lower_is_better else scores)[..., :-1]  # [..., T, T-1]
    size = signed.shape[-1]
    counts = np.tri(size + 1, size, dtype=bool) | (not since_trained)
    best = np.maximum.accumulate(np.where(counts, signed, -np.inf), axis=-2)
    return best[..., :-1, :] - signed[..., 1:, :], np.tri(size, dtype=bool)


def _mean_of(values: NDArray[Any], cells: NDArray[np.bool_]) -> NDArray[Any]:
    return np.asarray(values[..., cells].mean(axis=-1))


def _counted(size: int) -> NDArray[np.int64]:
    return np.arange(1, size + 1)


def _over_all(mean: NDArray[Any], scores: Scores) -> NDArray[Any]:
    """A mean over T - 1 tasks as a mean over T, the undefined one counted as 0."""
    size = np.shape(scores)[-1]
    return np.asarray(mean * (size - 1) / size)
