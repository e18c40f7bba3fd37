"""What a change of a weight becomes in a pack, and that it is read back as it was."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bequest.ops import forms
from bequest.ops.bits import packed, packed_size, unpacked
from bequest.ops.directions import code_bits, directions, directions_size
from bequest.ops.factors import Group, factored, grouped, quantised, rank_of_energy
from bequest.ops.gptq import Rounding

HOW = Rounding(groupsize=16, half_scales=True)


def delta(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def added(kept):
    """The change as a vector, block by block as it is added to a weight."""
    change = forms.opened(kept.about, kept.data)
    found = np.zeros(change.size, np.float32)
    for start in range(0, change.size, change.step):
        change.add(start, found[start : start + change.step])
    return found.reshape(kept.about["shape"])


def in_directions(change, groups, moments=None):
    moments = np.eye(change.shape[1]) if moments is None else moments
    parts = quantised(factored(change), groups, moments, HOW)
    return parts, directions(change.shape, parts, HOW.groupsize)


@given(st.integers(1, 8), st.integers(0, 40), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_codes_are_packed_without_a_bit_between_them(bits, count, rows):
    codes = np.random.default_rng(0).integers(0, 2**bits, (rows, count)).astype(np.uint8)
    run = packed(codes, bits)
    assert run.shape == (rows, packed_size(count, bits))
    assert np.array_equal(unpacked(run, bits, count), codes)


def test_whole_is_every_number():
    change = delta(5, 7)
    assert np.array_equal(added(forms.whole(change)), change)


@pytest.mark.parametrize("share", [0.001, 0.04, 0.5, 1.0])
def test_sparse_keeps_entries_exactly_over_many_blocks(share):
    change = delta(300, 1000)
    mask = np.random.default_rng(1).random(change.shape) < share
    kept = forms.sparse(change, mask)
    assert np.array_equal(added(kept), np.where(mask, change, 0))
    assert kept.data.nbytes == forms.sparse_size(change.size, int(mask.sum()), 32)


def test_sparse_in_half_precision_is_two_thirds_as_large():
    change, mask = delta(1000, 100), np.zeros((1000, 100), bool)
    mask[::50] = True
    half, exact = forms.sparse(change, mask, 16), forms.sparse(change, mask)
    assert half.data.nbytes < 0.7 * exact.data.nbytes
    assert np.array_equal(added(half), np.where(mask, change.astype(np.float16), 0))


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_blocks_may_begin_anywhere(share):
    change = delta(301, 1001)
    mask = np.random.default_rng(1).random(change.shape) < share
    for kept in (forms.sparse(change, mask), forms.signs(change)):
        whole, opened = added(kept), forms.opened(kept.about, kept.data)
        block = np.zeros(100_003, np.float32)
        opened.add(50_021, block)
        assert np.array_equal(block, whole.reshape(-1)[50_021 : 50_021 + len(block)])


def test_signs_take_a_bit_each_and_one_scale():
    change = delta(64, 33)
    kept = forms.signs(change)
    assert kept.data.nbytes == 4 + change.size // 8
    scale = np.float32(np.abs(change).mean(dtype=np.float64))
    assert np.array_equal(added(kept), np.where(change >= 0, scale, -scale))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 8])
def test_directions_are_what_the_factors_say(bits):
    change = delta(40, 33)
    parts, kept = in_directions(change, [Group(8, 2), Group(bits, 20)])
    expected = sum(part.change() for part in parts)
    np.testing.assert_allclose(added(kept), expected, atol=1e-5)
    assert kept.data.nbytes == directions_size((40, 33), [Group(8, 2), Group(bits, 20)], 16)


def test_full_rank_and_unrounded_groups_are_the_change():
    change = delta(40, 33)
    for bits, most in ((16, 1e-3), (32, 1e-5)):
        parts, kept = in_directions(change, [Group(bits, 33)])
        assert np.abs(sum(part.change() for part in parts) - change).max() < 1e-5
        assert np.linalg.norm(added(kept) - change) < most * np.linalg.norm(change)


def test_no_direction_is_no_change():
    _, kept = in_directions(delta(9, 8), [])
    assert not added(kept).any()


def test_codes_have_the_size_of_the_formula():
    shape, groups = (64, 48), [Group(8, 2), Group(4, 6), Group(2, 24)]
    plain = sum(group.columns * (group.bits * side) / 8 for group in groups for side in shape)
    assert code_bits(shape, groups) / 8 == plain
    grids = directions_size(shape, groups, -1) - plain
    steps = 2 * (32 + 3 * 64) + 32 + 3 * 64  # float16, and zeros of a byte each
    assert grids == 4 * 32 + steps


def test_error_falls_with_rank():
    change, inputs = delta(24, 30), delta(200, 30, seed=3)
    factors = factored(change)
    errors = []
    for rank in range(25):
        parts = quantised(factors, [Group(32, rank)] if rank else [], np.eye(30), HOW)
        left = change - sum(part.change() for part in parts)
        errors.append(np.linalg.norm(left @ inputs.T))
    assert all(later <= before + 1e-4 for before, later in pairwise(errors))


def test_energy_rule():
    sigma = np.array([3.0, 2.0, 1.0, 0.5])
    assert rank_of_energy(sigma, 1.0) == 4
    assert rank_of_energy(sigma, 1e-9) == 1
    assert rank_of_energy(sigma, 9 / 14.25) == 1
    assert rank_of_energy(sigma, 9.1 / 14.25) == 2


def test_shares_of_the_paper():
    assert grouped(1000, [(8, 0.02), (4, 0.18), (2, 0.8)]) == [(8, 20), (4, 180), (2, 800)]
    assert grouped(10, [(8, 0.02), (4, 0.18), (2, 0.8)]) == [(8, 1), (4, 1), (2, 8)]
    assert grouped(0, [(8, 1.0)]) == []


def test_rank_of_rounding_is_none():
    low = delta(50, 3) @ delta(3, 40)
    assert len(factored(low).sigma) == 3
    assert len(factored(np.zeros((4, 5), np.float32)).sigma) == 0


def test_few_directions_of_wide_matrices_are_found_by_iteration(monkeypatch):
    monkeypatch.setattr("bequest.ops.factors._WIDE", 8)
    change = delta(90, 4) @ delta(4, 80) + delta(90, 80) / 1000
    fast = factored(change, 4)
    sigma = np.linalg.svd(change, compute_uv=False)
    np.testing.assert_allclose(fast.sigma, sigma[:4], rtol=1e-4)


FACTS = [
    {"groups": [[8, 10**9]]}, {"groups": [[7.0, 2]]}, {"groups": [[9, 2]]}, {"groups": 3},
    {"groups": [[8, -1]]}, {"shape": [40]}, {"shape": [10**7, 10**7]}, {"shape": [40, "33"]},
    {"groupsize": 0}, {"groupsize": -2}, {"groupsize": None}, {"form": "pickle"},
]  # fmt: skip


@pytest.mark.parametrize("lie", FACTS)
def test_facts_that_lie_are_refused(lie):
    _, kept = in_directions(delta(40, 33), [Group(8, 2)])
    with pytest.raises((ValueError, TypeError, LookupError)):
        forms.opened({**kept.about, **lie}, kept.data)


def test_places_that_lie_are_refused():
    change, mask = delta(1000, 100), np.zeros((1000, 100), bool)
    mask[::50] = True
    kept = forms.sparse(change, mask)
    worse = kept.data.copy()
    worse[-2:] = 255
    with pytest.raises(ValueError, match="places"):
        added(forms.Kept(kept.about, worse))
    with pytest.raises(ValueError, match="bytes belong"):
        forms.opened({**kept.about, "count": 3}, kept.data)
