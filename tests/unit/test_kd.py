"""Knowledge distillation: what must hold of its loss whatever the numbers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bequest.lazy import functional, torch
from bequest.methods.distill.kd import Kd
from bequest.transfer.terms import total, weighed

temperatures = st.floats(0.5, 20)
shares = st.floats(0, 1)


def samples(seed=0, count=12, labels=5):
    """Student's logits, teacher's logits, labels; float64."""
    rng = torch.Generator().manual_seed(seed)
    logits, soft = torch.randn(2, count, labels, generator=rng, dtype=torch.float64).unbind()
    return logits.requires_grad_(), soft, torch.randint(labels, (count,), generator=rng)


def loss(kd, logits, soft, targets):
    return total(weighed(kd.terms(logits, soft, targets)))


def gradient(kd, logits, soft, targets):
    return torch.autograd.grad(loss(kd, logits, soft, targets), logits)[0]


@given(temperatures, st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_soft_term_vanishes_where_both_agree(temperature, seed):
    _, soft, targets = samples(seed)
    logits = soft.clone().requires_grad_()
    kd = Kd(temperature=temperature, alpha=0.0)
    assert abs(float(loss(kd, logits, soft, targets).detach())) < 1e-10
    assert float(gradient(kd, logits, soft, targets).abs().max()) < 1e-10


@given(temperatures, shares, st.floats(-50, 50), st.floats(-50, 50))
@settings(max_examples=25, deadline=None)
def test_adding_a_number_to_all_logits_changes_nothing(temperature, alpha, ours, theirs):
    logits, soft, targets = samples()
    kd = Kd(temperature=temperature, alpha=alpha)
    shifted = loss(kd, logits + ours, soft + theirs, targets)
    torch.testing.assert_close(shifted, loss(kd, logits, soft, targets), rtol=1e-8, atol=1e-8)


def test_the_order_of_the_batch_changes_nothing():
    logits, soft, targets = samples()
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(1))
    kd = Kd()
    shuffled = loss(kd, logits[order], soft[order], targets[order])
    torch.testing.assert_close(shuffled, loss(kd, logits, soft, targets))


def test_at_high_temperature_the_gradient_is_that_of_matching_logits():
    # Equation 4 of the paper: d/dz -> (z - v) / (N T^2) per sample, for centred logits; with the
    # factor temperature^2 the limit does not depend on the temperature.
    logits, soft, targets = samples()
    centred = (logits - logits.mean(1, keepdim=True) - soft + soft.mean(1, keepdim=True)).detach()
    limit = centred / soft.shape[1] / len(soft)
    for temperature in (1e3, 1e4):
        found = gradient(Kd(temperature=temperature, alpha=0.0), logits, soft, targets)
        torch.testing.assert_close(found, limit, rtol=0.02, atol=1e-5)


def test_the_gradient_keeps_its_size_over_temperatures():
    logits, soft, targets = samples()
    sizes = [
        float(gradient(Kd(temperature=t, alpha=0.0), logits, soft, targets).norm())
        for t in (4.0, 8.0, 16.0, 64.0)
    ]
    assert max(sizes) < 1.5 * min(sizes)
    released = [
        float(gradient(Kd(temperature=t, alpha=0.0, as_released=True), *samples()).norm())
        for t in (4.0, 64.0)
    ]
    assert released[0] > 100 * released[1]


@given(shares, st.floats(0, 10), temperatures)
@settings(max_examples=25, deadline=None)
def test_alpha_and_beta_weigh_the_terms(alpha, beta, temperature):
    logits, soft, targets = samples()
    hard = functional.cross_entropy(logits, targets)
    whole = loss(Kd(temperature=temperature, alpha=0.0, beta=1.0), logits, soft, targets)
    both = loss(Kd(temperature=temperature, alpha=alpha, beta=beta), logits, soft, targets)
    torch.testing.assert_close(both, alpha * hard + beta * whole)


def test_beta_is_the_rest_of_alpha_when_left_out():
    alone, given_beta = Kd(alpha=0.3), Kd(alpha=0.3, beta=0.7)
    torch.testing.assert_close(loss(alone, *samples()), loss(given_beta, *samples()))


def test_alpha_one_is_plain_cross_entropy():
    logits, soft, targets = samples()
    expected = functional.cross_entropy(logits, targets)
    torch.testing.assert_close(loss(Kd(alpha=1.0), logits, soft, targets), expected)


def test_alpha_zero_asks_for_no_label():
    logits, soft, _ = samples()
    assert set(Kd(alpha=0.0).terms(logits, soft, None)) == {"soft"}


@given(st.floats(1e-6, 1), temperatures)
@settings(max_examples=25, deadline=None)
def test_as_released_matters_at_alpha_zero_only(alpha, temperature):
    ours = loss(Kd(alpha=alpha, temperature=temperature), *samples())
    released = loss(Kd(alpha=alpha, temperature=temperature, as_released=True), *samples())
    assert torch.equal(ours, released)


def test_as_released_at_alpha_zero_leaves_out_beta_and_temperature_squared():
    ours = loss(Kd(alpha=0.0, beta=0.5, temperature=3.0), *samples())
    released = loss(Kd(alpha=0.0, beta=0.5, temperature=3.0, as_released=True), *samples())
    torch.testing.assert_close(ours, 0.5 * 9 * released)


def test_the_teacher_gets_no_gradient():
    logits, soft, targets = samples()
    soft.requires_grad_()
    loss(Kd(), logits, soft, targets).backward()
    assert soft.grad is None
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"alpha": -0.1}, {"alpha": 1.1}, {"beta": -1}, {"tau": 4}]
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Kd(**wrong)
