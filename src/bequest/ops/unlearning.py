"""Losses that make a model forget answers, as far as two or more methods or audits share them.

Tokens of several answers stand one after another: [tokens]; `lengths` says how many each has,
int64 [answers]. A classifier's answer is one token. All likelihoods are in nats. Formulas as in
OpenUnlearning (Dorna et al. 2025, arXiv 2506.12618).
"""

from __future__ import annotations

from bequest.lazy import functional, torch


def summed(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The sum over the tokens of each answer: [answers]."""
    owner = torch.arange(len(lengths), device=values.device).repeat_interleave(
        lengths.to(values.device), output_size=len(values)
    )
    return values.new_zeros(len(lengths)).index_add(0, owner, values)


def preferred(now: torch.Tensor, before: torch.Tensor | float, beta: float) -> torch.Tensor:
    """Negative preference: (2 / beta) · softplus(−beta · (now − before)), [answers].

    now, before: NLL of each answer, summed over its tokens, of the model and of the reference. Its
    gradient is that of −now, weighed by 2 · sigmoid(−beta · (now − before)): 1 at the start, 0 once
    forgotten. Zhang et al. 2024, Negative Preference Optimization, arXiv 2404.05868, equation 3.
    """
    return functional.softplus(-beta * (now - before)) * 2 / beta


def soft_cross_entropy(wanted: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """−Σ softmax(wanted) · log softmax(scores) of each token, [tokens].

    wanted, scores: unnormalised, [tokens, vocabulary]; `wanted` may hold −∞ and has no gradient.
    """
    shares = functional.softmax(wanted.detach(), dim=-1)
    told = functional.log_softmax(scores, dim=-1).masked_fill(shares == 0, 0)  # 0 · ln 0 = 0
    return -(shares * told).sum(dim=-1)


def shifted(scores: torch.Tensor, targets: torch.Tensor, by: float) -> torch.Tensor:
    """The scores with `by` added to that of each token's target: [tokens, vocabulary]."""
    added = torch.full_like(scores[:, :1], by)
    return scores.scatter_add(-1, targets[:, None], added)


def positions_behind(lengths: torch.Tensor, skipped: int) -> torch.Tensor:
    """Whether a token has at least `skipped` of its answer before it: bool [tokens]."""
    ends = lengths.cumsum(0)
    starts = (ends - lengths).repeat_interleave(lengths)
    return torch.arange(int(lengths.sum()), device=lengths.device) - starts >= skipped
