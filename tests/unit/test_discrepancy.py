"""Discrepancy of two domains: what it is zero for, and what it passes over."""

import pytest

from bequest.lazy import functional, torch
from bequest.ops.discrepancy import class_means, soft_mmd


@pytest.fixture(autouse=True)
def drawn():
    torch.manual_seed(0)


def hot(*targets, classes=3):
    return functional.one_hot(torch.tensor(targets), classes).double()


def rows(count, width=4):
    return torch.randn(count, width, dtype=torch.float64)


def test_identical_domains_are_not_apart():
    here, weights = rows(6), hot(0, 1, 2, 0, 1, 2)
    found = soft_mmd(here, weights, here, weights)
    assert float(found.mean) == 0


def test_it_is_the_mean_over_all_rows_and_every_class():
    source, target = rows(6), rows(5)
    ours, theirs = hot(0, 1, 2, 0, 1, 2), torch.rand(5, 3, dtype=torch.float64)
    found = soft_mmd(source, ours, target, theirs)
    means = [(theirs[:, k] @ target) / theirs[:, k].sum() for k in range(3)]
    by_hand = [(source[k::3].mean(0) - means[k]).square().sum() for k in range(3)]
    overall = (source.mean(0) - target.mean(0)).square().sum()
    torch.testing.assert_close(found.marginal, overall)
    torch.testing.assert_close(found.mean, (overall + sum(by_hand)) / 4)


def test_moved_domains_are_apart_by_the_square_of_the_way():
    here, weights = rows(6), hot(0, 1, 2, 0, 1, 2)
    found = soft_mmd(here + 2.0, weights, here, weights)
    torch.testing.assert_close(found.mean, torch.tensor(16.0, dtype=torch.float64))


def test_the_order_of_rows_does_not_matter():
    source, target, ours, theirs = rows(6), rows(5), hot(0, 1, 2, 0, 1, 2), hot(0, 1, 2, 2, 1)
    order = torch.randperm(6)
    one, other = (
        soft_mmd(source[places], ours[places], target, theirs).mean
        for places in (torch.arange(6), order)
    )
    assert abs(float(one - other)) < 1e-12


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_class_without_rows_is_passed_over_and_its_gradient_is_finite(side):
    full, lacking = hot(0, 1, 2, 0), hot(0, 1, 0, 1)
    ours, theirs = (lacking, full) if side == "source" else (full, lacking)
    source, target = rows(4).requires_grad_(), rows(4).requires_grad_()
    found = soft_mmd(source, ours, target, theirs)
    found.mean.backward()
    assert torch.isfinite(found.mean.detach())
    assert torch.isfinite(source.grad).all() and torch.isfinite(target.grad).all()
    two = soft_mmd(source, ours[:, :2], target, theirs[:, :2])
    torch.testing.assert_close(found.conditional, two.conditional)


def test_a_class_that_soft_labels_hardly_give_has_its_mean_all_the_same():
    here, weights = rows(4).float().requires_grad_(), torch.tensor([[1, 1e-20]] * 4)
    weights.requires_grad_()
    torch.testing.assert_close(class_means(here, weights)[1], here.mean(dim=0))
    soft_mmd(rows(4).float(), hot(0, 1, 0, 1, classes=2).float(), here, weights).mean.backward()
    assert torch.isfinite(here.grad).all() and torch.isfinite(weights.grad).all()


def test_rows_of_no_weight_do_not_count_for_their_class():
    here = rows(4)
    weights = hot(0, 1, 0, 1) * torch.tensor([[1.0], [1.0], [0.0], [0.0]])
    torch.testing.assert_close(class_means(here, weights)[:2], here[:2])
