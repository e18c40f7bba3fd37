"""How far one distribution lies from another."""

from __future__ import annotations

import pytest

from bequest.lazy import torch
from bequest.ops.divergences import kl_from_logits


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(7)


def pair(rng, labels=6):
    return torch.randn(2, 9, labels, generator=rng, dtype=torch.float64).unbind()


def test_by_the_definition(rng):
    target, logits = pair(rng)
    p, q = target.div(3).softmax(dim=1), logits.div(3).softmax(dim=1)
    expected = (p * (p / q).log()).sum(dim=1).mean()
    torch.testing.assert_close(kl_from_logits(target, logits, 3.0), expected)


def test_worked_by_hand():
    target, logits = torch.zeros(1, 2), torch.tensor([[0.0, 3.0]]).log1p()  # odds 1:1 and 1:4
    expected = 0.5 * torch.tensor(0.5 / 0.2).log() + 0.5 * torch.tensor(0.5 / 0.8).log()
    torch.testing.assert_close(kl_from_logits(target, logits), expected)


def test_zero_at_equality_and_only_there(rng):
    target, logits = pair(rng)
    assert float(kl_from_logits(target, target.clone())) == pytest.approx(0, abs=1e-15)
    assert float(kl_from_logits(target, target + 5)) == pytest.approx(0, abs=1e-12)
    assert float(kl_from_logits(target, logits)) > 0.01


def test_not_symmetric(rng):
    target, logits = pair(rng)
    forward, backward = kl_from_logits(target, logits), kl_from_logits(logits, target)
    assert float((forward - backward).abs()) > 1e-3


def test_the_target_carries_no_gradient(rng):
    target, logits = (each.requires_grad_() for each in pair(rng))
    kl_from_logits(target, logits).backward()
    assert target.grad is None
    assert logits.grad.abs().sum() > 0


def test_the_gradient_is_the_difference_of_the_distributions(rng):
    target, logits = pair(rng)
    logits.requires_grad_()
    kl_from_logits(target, logits, 2.0).backward()
    apart = (logits.detach() / 2).softmax(dim=1) - (target / 2).softmax(dim=1)
    torch.testing.assert_close(logits.grad, apart / 2 / len(logits))


def test_finite_where_probabilities_vanish():
    target = torch.tensor([[0.0, 1e4, -1e4]])
    logits = torch.tensor([[1e4, 0.0, 0.0]], requires_grad=True)
    value = kl_from_logits(target, logits)
    value.backward()
    assert torch.isfinite(value.detach())
    assert torch.isfinite(logits.grad).all()
