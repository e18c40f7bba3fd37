"""Subspaces, regimes and effective weights: what must hold for any numbers."""

from __future__ import annotations

import pytest

from bequest.lazy import torch
from bequest.ops.regimes import candidates, cosine, projection_norms, regime, scaled
from bequest.ops.subspaces import (
    condensed,
    first_bases,
    next_bases,
    off,
    patches,
    projected,
    union,
)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def basis(width, rank, seed=0):
    return torch.linalg.qr(normal(width, rank, seed=seed)).Q


def lies_in(vectors, directions):
    return torch.linalg.matrix_norm(off(vectors.T, directions)) < 1e-10


def assert_orthonormal(directions):
    size = directions.shape[1]
    torch.testing.assert_close(
        directions.T @ directions, torch.eye(size, dtype=torch.float64), atol=1e-10, rtol=0
    )


def stream(tasks=4, width=12, rank=3):
    """Representations of one rank each, which overlap with those before in one direction."""
    shared = normal(width, 1, seed=99)
    for seed in range(tasks):
        directions = torch.cat([shared, normal(width, rank - 1, seed=seed)], dim=1)
        yield directions @ normal(rank, 30, seed=50 + seed)


@pytest.mark.parametrize("threshold", [0.8, 0.97, 1.0])
def test_bases_are_orthonormal_and_nothing_accumulated_is_lost(threshold):
    accumulated = torch.empty(12, 0, dtype=torch.float64)
    for seen in stream():
        found = next_bases(seen, accumulated, threshold)
        grown = torch.cat([accumulated, found.new], dim=1)
        assert_orthonormal(found.own)
        assert_orthonormal(grown)
        assert lies_in(found.own, grown)
        assert lies_in(accumulated, grown)
        held = projected(seen.T, found.own).square().sum() / seen.square().sum()
        assert held >= threshold - 1e-12
        accumulated = grown


def test_a_threshold_of_one_takes_no_rounding_noise():
    accumulated = torch.empty(12, 0, dtype=torch.float64)
    ranks = []
    for seen in stream():
        accumulated = torch.cat([accumulated, next_bases(seen, accumulated, 1.0).new], dim=1)
        ranks.append(accumulated.shape[1])
    assert ranks == [3, 5, 7, 9]


def test_the_same_representation_again_brings_no_new_direction():
    seen = next(stream())
    first = first_bases(seen, 1.0)
    again = next_bases(seen, first.new, 1.0)
    assert again.new.shape[1] == 0
    torch.testing.assert_close(projected(seen.T, again.own), seen.T)


def test_the_fewest_directions_are_chosen():
    axes = torch.eye(4, dtype=torch.float64) * torch.tensor([4.0, 2.0, 1.0, 0.5])
    energies = [16, 4, 1, 0.25]
    for rank in (1, 2, 3, 4):
        share = (sum(energies[:rank]) - 0.1) / sum(energies)
        assert first_bases(axes, share).own.shape == (4, rank)


def test_old_and_new_directions_compete():
    old = torch.eye(4, dtype=torch.float64)[:, :2]
    seen = torch.diag(torch.tensor([0.1, 3.0, 5.0, 0.1], dtype=torch.float64))
    found = next_bases(seen, old, 0.99)
    torch.testing.assert_close(found.own.abs(), torch.eye(4, dtype=torch.float64)[:, [2, 1]])
    torch.testing.assert_close(found.new.abs(), torch.eye(4, dtype=torch.float64)[:, [2]])


def test_the_union_spans_overlapping_subspaces_once():
    shared, one, two = basis(9, 5)[:, [0]], basis(9, 5)[:, 1:3], basis(9, 5)[:, 3:]
    whole = union([torch.cat([shared, one], dim=1), torch.cat([shared, two], dim=1)])
    assert whole.shape == (9, 5)
    assert_orthonormal(whole)
    assert lies_in(basis(9, 5), whole)


def test_off_leaves_outputs_in_the_subspace_alone():
    directions, change = basis(9, 4), normal(5, 9)
    inputs = directions @ normal(4, 20)
    assert (off(change, directions) @ inputs).abs().max() < 1e-12
    torch.testing.assert_close(off(change, directions) + projected(change, directions), change)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": (2, 0), "stride": 2, "dilation": (1, 2)},
        {"padding": "same", "kernel_size": (3, 5), "dilation": 2},
        {"padding": "valid"},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": 1, "padding_mode": "circular"},
    ],
)
def test_patches_are_what_a_convolution_multiplies(options):
    layer = torch.nn.Conv2d(2, 5, **{"kernel_size": 3, **options}, bias=False).double()
    inputs = normal(3, 2, 8, 7)
    expected = layer(inputs).movedim(1, 0).flatten(1)  # [out, batch · places]
    torch.testing.assert_close(layer.weight.flatten(1) @ patches(inputs, layer), expected)


def test_a_change_off_the_patches_of_all_groups_changes_no_output():
    layer = torch.nn.Conv2d(4, 6, 3, groups=2, padding=1, bias=False).double()
    inputs = normal(2, 1, 5, 5).repeat(1, 4, 1, 1)
    before = layer(inputs)
    seen = patches(inputs, layer)
    directions = first_bases(seen, 1.0).own
    change = off(normal(6, 18), directions)
    assert seen.shape == (18, 2 * 2 * 25)
    assert directions.shape[1] < 18
    with torch.no_grad():
        layer.weight += change.view_as(layer.weight)
    torch.testing.assert_close(layer(inputs), before)


def test_a_condensed_representation_has_the_same_subspaces():
    seen = normal(6, 40)
    small = condensed(seen)
    assert small.shape == (6, 6)
    torch.testing.assert_close(small @ small.T, seen @ seen.T)
    assert condensed(small) is small


def test_identity_scaling_leaves_the_weight_as_it_is():
    weight, directions = normal(5, 9), basis(9, 4)
    assert torch.equal(scaled(weight, [(directions, torch.eye(4, dtype=torch.float64))]), weight)
    assert scaled(weight, []) is weight


def test_scaling_changes_the_weight_inside_the_subspace_only():
    weight, directions = normal(5, 9), basis(9, 4)
    changed = scaled(weight, [(directions, normal(4, 4))])
    outside = off(torch.eye(9, dtype=torch.float64), directions)
    torch.testing.assert_close(changed @ outside, weight @ outside)
    torch.testing.assert_close(changed @ directions, weight @ directions @ normal(4, 4))


def test_positive_correlation_implies_sufficient_projection():
    for seed in range(20):
        directions, gradient = basis(9, 3, seed), normal(5, 9, seed=seed)
        remembered = projected(normal(5, 9, seed=seed + 100), directions)
        ratio = projection_norms(gradient, [directions]) / torch.linalg.vector_norm(gradient)
        assert ratio >= cosine(remembered, gradient) - 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_rescaling_the_remembered_gradient_changes_no_regime(seed):
    gradient, directions = normal(5, 9, seed=seed), basis(9, 4, seed)
    remembered = normal(5, 9, seed=seed + 9)
    norm = float(projection_norms(gradient, [directions]))
    found = {regime(gradient, norm, 0.3, scale * remembered) for scale in (1e-6, 1.0, 1e6)}
    assert len(found) == 1


def test_regimes():
    gradient = normal(5, 9)
    whole = float(torch.linalg.vector_norm(gradient))
    assert regime(gradient, 0.5 * whole, 0.5, gradient) == 1
    assert regime(gradient, 0.6 * whole, 0.5) == 2
    assert regime(gradient, 0.6 * whole, 0.5, -gradient) == 2
    assert regime(gradient, 0.6 * whole, 0.5, gradient) == 3
    assert regime(gradient, 0.6 * whole, 0.5, gradient, least_correlation=1.1) == 2
    assert regime(gradient, whole * (1 + 1e-12), 1.0, gradient) == 1


def test_candidates_are_the_largest():
    assert candidates(torch.tensor([0.1, 0.9, 0.3, 0.5]), 2) == [1, 3]
    assert candidates(torch.tensor([0.5, 0.5, 0.5]), 2) == [0, 1]
    assert candidates(torch.tensor([0.5]), 2) == [0]
    assert candidates(torch.tensor([0.5]), 0) == []


def test_the_cosine_with_nothing_is_zero():
    assert cosine(torch.zeros(2, 2), torch.ones(2, 2)) == 0
