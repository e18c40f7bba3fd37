"""How well a model remembers one answer, token by token; what audits of unlearning are made of.

As in OpenUnlearning (Dorna et al. 2025, arXiv 2506.12618) unless a function says otherwise. The
tokens of an answer are those scored: its last, the end of the text, is left out by the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

SHARE = 0.4  # of the tokens that Min-k% looks at
_LEAST_VARIANCE = 1e-6


def exact_memorisation(right: ArrayLike) -> float:
    """Share of tokens that are the likeliest one behind the true tokens before them.

    right: whether each is, [tokens]. NaN where there is no token.
    """
    found = np.asarray(right, np.float64)
    return float(found.mean()) if len(found) else float("nan")


def extraction_strength(right: ArrayLike, *, as_released: bool = False) -> float:
    """Share of an answer that need not be shown for the model to go on with the rest of it.

    = 1 − k / tokens, k: the first place from which on every token is the likeliest; 0 if none.

    right: as above. as_released: an answer whose last token is wrong still gets 1 / tokens, as the
    released code gives it.
    """
    found = np.asarray(right, bool)
    if not len(found):
        return 0.0
    wrong = np.flatnonzero(~found)
    shown = int(wrong[-1]) + 1 if len(wrong) else 0
    if as_released:
        shown = min(shown, len(found) - 1)
    return 1 - shown / len(found)


def min_k(log_probability: ArrayLike, share: float = SHARE) -> float:
    """Minus the mean of the lowest log-probabilities, those of `share` of the tokens (Min-k%).

    At least one token is looked at; NaN where there is none. Shi et al. 2024, arXiv 2310.16789.
    """
    found = np.sort(np.asarray(log_probability, np.float64))
    if not len(found):
        return float("nan")
    return float(-found[: max(1, int(share * len(found)))].mean())


def min_k_plus(
    log_probability: ArrayLike, mean: ArrayLike, variance: ArrayLike, share: float = SHARE
) -> float:
    """The same of log-probabilities measured against all tokens that could stand there (Min-k%++).

    mean, variance: of the log-probability under the model itself, [tokens]. Zhang et al. 2024,
    arXiv 2404.02936.
    """
    deviation = np.sqrt(np.maximum(np.asarray(variance, np.float64), _LEAST_VARIANCE))
    return min_k((np.asarray(log_probability, np.float64) - np.asarray(mean)) / deviation, share)


def extraction_likelihood(suffix: Sequence[int], said: Sequence[int], size: int) -> float:
    """Share of the true suffix's runs of `size` tokens that the model's own continuation has.

    A run that occurs twice in what was said counts twice, as in the released code; 0 where the
    suffix is too short. Jang et al. 2023, Knowledge Unlearning, arXiv 2210.01504.
    """
    wanted, given = _runs(suffix, size), _runs(said, size)
    if not wanted:
        return 0.0
    return sum(run in wanted for run in given) / len(wanted)


def extraction_likelihoods(
    target: Sequence[int], continuations: Sequence[Sequence[int]], size: int
) -> float:
    """EL_n of one text: the mean of `extraction_likelihood` over its prefixes.

    continuations: what the model says behind the first 1, 2, … tokens of the target, each up to
    the target's length. 0 where no suffix has `size` tokens.
    """
    if len(target) <= size:
        return 0.0
    scores = [
        extraction_likelihood(target[length:], said, size)
        for length, said in enumerate(continuations, start=1)
    ]
    return sum(scores) / (len(target) - size)


def _runs(tokens: Sequence[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]


def spans(values: NDArray[np.float64], lengths: Sequence[int]) -> list[NDArray[np.float64]]:
    """The values of each text, of [tokens of all texts, …]."""
    return np.split(values, np.cumsum(lengths)[:-1])
