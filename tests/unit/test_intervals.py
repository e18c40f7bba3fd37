"""Intervals against exact distributions, and against how often they hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bequest.measure.intervals import Estimate, Resampler, Scatter, holm, interval, p_value, scatter

UNBOUNDED = (-math.inf, math.inf)


def of(resampled, units=10**6, guard=None):
    """A scatter that is what was resampled, and nothing more."""
    resampled = np.asarray(resampled, np.float64)
    return Scatter(resampled, float(resampled.std()), math.inf, units, guard)


def drawn(values, resamples=1000, seed=0):
    counts = np.ones(len(values), np.int64)
    blocks = Resampler(seed, resamples).blocks(counts)
    return np.concatenate([block @ np.asarray(values, np.float32) for block in blocks])


def test_two_samples_are_resampled_uniformly():
    # Dirichlet(1, 1): the mean of {0, 1} is uniform on [0, 1]
    means = np.sort(drawn([0, 1], resamples=20_000))
    assert means.mean() == pytest.approx(0.5, abs=0.01)
    assert np.abs(means - np.linspace(0, 1, len(means))).max() < 0.015


@pytest.mark.parametrize(("right", "n"), [(1, 3), (9, 10), (30, 40)])
def test_a_share_is_resampled_as_a_beta(right, n):
    # the mean of `right` ones among n is Beta(right, n - right)
    means = drawn([1] * right + [0] * (n - right), resamples=20_000)
    assert means.mean() == pytest.approx(right / n, abs=0.01)
    assert means.var() == pytest.approx(right / n * (1 - right / n) / (n + 1), rel=0.06)


def test_weights_sum_to_one_and_never_vanish():
    (block,) = Resampler(resamples=50).blocks(np.array([1, 3, 2]))
    assert block.shape == (50, 6)
    assert block.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-6)
    assert (block > 0).all()
    assert (block[:, 1] == block[:, 2]).all()
    assert (block[:, 1] == block[:, 3]).all()


def test_same_seed_same_weights_other_seed_others():
    values = np.arange(20.0)
    assert (drawn(values) == drawn(values)).all()
    assert not (drawn(values) == drawn(values, seed=1)).any()


def test_many_samples_come_in_blocks(monkeypatch):
    monkeypatch.setattr("bequest.measure.intervals._BLOCK_FLOATS", 100)
    blocks = list(Resampler(resamples=25).blocks(np.ones(10, np.int64)))
    assert [len(block) for block in blocks] == [10, 10, 5]
    assert len(np.unique(np.concatenate(blocks)[:, 0])) == 25


def test_kept_weights_are_bounded(monkeypatch):
    monkeypatch.setattr("bequest.measure.intervals._KEPT_FLOATS", 100)
    resampler = Resampler(resamples=5)
    first = next(resampler.blocks(np.ones(12, np.int64))).copy()
    next(resampler.blocks(np.ones(13, np.int64)))
    assert (next(resampler.blocks(np.ones(12, np.int64))) == first).all()


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_seeds_enter_with_students_t(count):
    points = np.random.default_rng(count).normal(size=count)
    same = np.repeat(points[:, None], 4000, 1)
    found = scatter(points, same, 10**6, Resampler(0, 4000))
    low, high = interval(points.mean(), found, UNBOUNDED)
    half = stats.t.ppf(0.975, count - 1) * stats.sem(points)
    assert found.degrees == pytest.approx(count - 1)
    assert (low, high) == pytest.approx((points.mean() - half, points.mean() + half), rel=0.02)
    p = p_value(points.mean(), found, UNBOUNDED)
    assert p == pytest.approx(stats.ttest_1samp(points, 0).pvalue, rel=0.02)


def test_one_seed_adds_no_doubt():
    draws = np.random.default_rng(0).random((1, 100))
    found = scatter(draws.mean(axis=1), draws, 50, Resampler(0, 100), np.zeros(100))
    assert found.resampled == pytest.approx(draws[0])
    assert found.degrees == pytest.approx(49)


def test_of_two_parts_the_degrees_are_those_of_welch_and_satterthwaite():
    rng = np.random.default_rng(1)
    draws = 0.5 + np.array([[0.1], [-0.1], [0.02]]) + 0.05 * rng.normal(size=(1, 1000))
    points = draws.mean(axis=1)
    found = scatter(points, draws, 30, Resampler(0, 1000), np.zeros(1000))
    of_seeds, of_units = stats.sem(points), draws.mean(axis=0).std()
    total = of_seeds**2 + of_units**2
    assert found.error == pytest.approx(total**0.5)
    assert found.degrees == pytest.approx(total**2 / (of_seeds**4 / 2 + of_units**4 / 29))


@pytest.mark.parametrize("units", [5, 20, 200])
def test_few_units_without_bounds_have_students_t_too(units):
    values = stats.norm.ppf((np.arange(units) + 0.5) / units)
    draws = drawn(values)[None]
    found = scatter(np.array([values.mean()]), draws, units, Resampler())
    low, high = interval(values.mean(), found, UNBOUNDED)
    half = stats.t.ppf(0.975, units - 1) * stats.sem(values)
    assert high - low == pytest.approx(2 * half, rel=0.1)
    assert high - low >= 2 * half * 0.95


def test_a_skewed_mean_reaches_further_up_than_down():
    values = np.random.default_rng(0).exponential(size=20)
    draws = drawn(values)[None]
    value = float(values.mean())
    found = scatter(np.array([value]), draws, 20, Resampler())
    low, high = interval(value, found, (0.0, math.inf))
    assert high - value > 1.2 * (value - low)
    assert high >= value * math.exp(stats.t.ppf(0.975, 19) * found.error / value) * 0.999


@pytest.mark.parametrize("chance", [0.5, 0.8, 0.98])
def test_intervals_of_a_share_hold_the_truth(chance):
    rng = np.random.default_rng(0)
    resampler = Resampler(resamples=400)
    (weights,) = resampler.blocks(np.ones(80, np.int64))
    samples = (rng.random((80, 400)) < chance).astype(np.float32)  # one column for each trial
    guard = resampler.guard(80)
    ends = [
        interval(float(value), of(resampled, 80, guard), (0, 1))
        for value, resampled in zip(samples.mean(axis=0), (weights @ samples).T, strict=True)
    ]
    covered = np.mean([low <= chance <= high for low, high in ends])
    assert 0.93 <= covered <= 0.995


def test_intervals_over_units_and_seeds_hold_the_truth():
    rng = np.random.default_rng(0)
    resampler, covered = Resampler(resamples=300), 0
    for _ in range(200):
        skill = 0.7 + rng.normal(0, 0.05, 6)
        right = rng.random((60, 6)) < skill
        (weights,) = resampler.blocks(np.ones(60, np.int64))
        points = right.mean(axis=0)
        draws = (weights @ right.astype(np.float32)).T
        found = scatter(points, draws, 60, resampler, resampler.guard(60))
        low, high = interval(points.mean(), found, (0, 1))
        covered += low <= 0.7 <= high
    assert 0.90 <= covered / 200 <= 0.995


@pytest.mark.parametrize("units", [1, 10, 50])
def test_no_error_in_n_units_is_not_surely_none(units):
    guard = Resampler().guard(units)
    bound = 1 - 0.025 ** (1 / units)
    low, high = interval(1.0, of(np.ones(1000), units, guard), (0, 1))
    assert (low, high) == (pytest.approx(1 - bound, abs=1e-3), 1.0)
    low, high = interval(0.0, of(np.zeros(1000), units, guard), (-1, 1))
    assert (low, high) == (pytest.approx(-bound, abs=1e-3), pytest.approx(bound, abs=1e-3))
    # the bound is exact: with an error rate of `bound`, no error in n units has a chance of 2.5 %
    assert (1 - bound) ** units == pytest.approx(0.025)


def at_most(right, n, chance):
    """Chance of at most `right` right answers among n."""
    return sum(math.comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(right + 1))


@pytest.mark.parametrize(("right", "n"), [(1, 20), (19, 20), (30, 40), (0, 5)])
def test_the_interval_of_a_share_is_that_of_clopper_and_pearson(right, n):
    resampler = Resampler(0, 40_000)
    resampled = drawn([1] * right + [0] * (n - right), resamples=40_000)
    low, high = interval(right / n, of(resampled, n, resampler.guard(n)), (0, 1))
    if right:
        assert 1 - at_most(right - 1, n, low) == pytest.approx(0.025, rel=0.1)
    assert at_most(right, n, high) == pytest.approx(0.025, rel=0.1)


@pytest.mark.parametrize(("better", "worse"), [(1, 0), (5, 0), (6, 1), (9, 4), (2, 7)])
def test_the_p_value_of_paired_answers_is_that_of_mcnemar(better, worse):
    n = 100
    differences = [1] * better + [-1] * worse + [0] * (n - better - worse)
    resampler = Resampler(0, 40_000)
    resampled = drawn(differences, resamples=40_000)
    p = p_value((better - worse) / n, of(resampled, n, resampler.guard(n)), (-1, 1))
    exact = min(1.0, 2 * at_most(min(better, worse), better + worse, 0.5))
    assert p == pytest.approx(exact, rel=0.1)


def test_an_interval_stays_in_bounds_and_holds_its_value():
    resampled = np.linspace(0.5, 1.2, 1000)
    guard = np.zeros(1000)
    assert interval(0.9, of(resampled, guard=guard), (0, 1))[1] == 1
    low, high = interval(0.3, of(resampled, guard=guard), (0, 1))
    assert low == 0.3 < high


def endless(value):
    return scatter(np.array([value, value]), np.full((2, 10), value), 10, Resampler(resamples=10))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_has_no_interval(value):
    assert all(map(math.isnan, interval(value, endless(value), (0, 1))))
    assert p_value(value, endless(value), UNBOUNDED) == 1


def test_p_value_counts_the_far_side_plus_one():
    resampled = np.array([-1.0] * 3 + [1.0] * 96)
    guard = np.zeros(99)
    bounds = (-1, 1)
    assert p_value(0.5, of(resampled, guard=guard), bounds) == pytest.approx(2 * 4 / 100)
    assert p_value(-0.5, of(-resampled, guard=guard), bounds) == pytest.approx(2 * 4 / 100)
    assert p_value(0.0, of(resampled, guard=guard), bounds) == 1


def test_p_value_goes_on_below_the_resolution_but_not_below_a_sign_test():
    far = np.random.default_rng(0).normal(10, 1, 999)
    assert 0 < p_value(10.0, of(far), UNBOUNDED) < 1e-20
    assert p_value(10.0, of(far, units=8), UNBOUNDED) == 2.0**-7
    assert p_value(1.0, of(np.ones(999), units=5), UNBOUNDED) == 2.0**-4


def test_two_seeds_alone_are_never_nearly_certain():
    points = np.array([0.10, 0.12])  # mean 0.11, standard error 0.01: t is 11 with one degree
    draws = np.repeat(points[:, None], 1000, 1)
    found = scatter(points, draws, 2000, Resampler(), np.zeros(1000))
    assert 0.05 < p_value(0.11, found, (-1, 1)) < 0.07


def test_p_values_are_uniform_where_nothing_differs():
    rng = np.random.default_rng(3)
    (weights,) = Resampler(resamples=400).blocks(np.ones(100, np.int64))
    differences = rng.normal(size=(100, 400)).astype(np.float32)
    resampled = weights @ differences
    values = differences.mean(axis=0)
    resampler = Resampler(resamples=400)
    p = [
        p_value(float(v), scatter(np.array([v]), r[None], 100, resampler), UNBOUNDED)
        for v, r in zip(values, resampled.T, strict=True)
    ]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.07
    assert np.mean(p) == pytest.approx(0.5, abs=0.05)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    assert all(
        a <= min(1.0, p * len(p_values)) + 1e-12 for a, p in zip(adjusted, p_values, strict=True)
    )
    ranked = [adjusted[i] for i in sorted(range(len(p_values)), key=p_values.__getitem__)]
    assert ranked == sorted(ranked)


def test_seeds_are_shown_one_by_one_below_five():
    assert str(Estimate(0.5, 0.4, 0.6, 10, 10, (0.4, 0.6))) == "0.500 [0.400, 0.600] (0.400, 0.600)"
    assert str(Estimate(0.5, 0.4, 0.6, 10, 10, (0.5,) * 5)) == "0.500 [0.400, 0.600]"
