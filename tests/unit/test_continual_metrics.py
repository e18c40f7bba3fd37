"""Formulas over a sequence of tasks: the card's hand matrix, and what must hold for any scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bequest.core.errors import RequestError
from bequest.measure import continual, curves
from bequest.measure.contrasts import METRICS
from bequest.measure.metrics import accuracy, cross_entropy
from bequest.measure.missing import MissingScore
from bequest.measure.sequence_metrics import SEQUENCE_METRICS, SequenceMetric

HAND = np.array([[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.6, 0.9, 0.7]])
GIVEN = np.full(3, 0.1)
SCORES_ONLY = [metric for metric in SEQUENCE_METRICS if metric.needs == ("scores",)]
DIRECTED = [metric for metric in SEQUENCE_METRICS if metric.directed]
LEVELS = [metric for metric in SEQUENCE_METRICS if metric.level]
DIFFERENCES = [metric for metric in DIRECTED if not metric.level and metric.name != "diaz_rem"]


def square(least=2, most=6):
    shares = st.floats(0, 1, width=32)
    return st.integers(least, most).flatmap(
        lambda n: arrays.arrays(np.float64, (n, n), elements=shares)
    )


def inputs(scores, seed=0):
    """Everything any metric may take, made up around these scores."""
    rng = np.random.default_rng(seed)
    size = scores.shape[-1]
    return {
        "scores": scores,
        "given": rng.random(size),
        "single": rng.random(size),
        "joint": rng.random(size),
        "curves": rng.random((size, 4)),
        "within": rng.random((size, size, 3)),
        "z": rng.random(4),
        "at": np.arange(4),
    }


def flipped(given):
    return {name: value if name == "at" else -value for name, value in given.items()}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (continual.average_accuracy(HAND), 2.2 / 3),
        (continual.bwt(HAND), -0.1),
        (continual.bwt_by_task(HAND), [-0.3, 0.1]),
        (continual.fwt(HAND, GIVEN), 0.15),
        (continual.gem_code_bwt(HAND), -0.2 / 3),
        (continual.gem_code_fwt(HAND, GIVEN), 0.1),
        (continual.forgetting_by_stage(HAND), [0.2, 0.1]),
        (continual.forgetting(HAND), 0.1),
        (continual.worst_forgetting(HAND), 0.3),
        (continual.learning_accuracy(HAND), 0.8),
        (continual.average_accuracy_by_stage(HAND), [0.9, 0.75, 2.2 / 3]),
        (continual.average_incremental_accuracy(HAND), (0.9 + 0.75 + 2.2 / 3) / 3),
        (continual.mtil_transfer_by_task(HAND), [0.2, 0.2]),
        (continual.mtil_transfer(HAND), 0.2),
        (continual.mtil_avg(HAND), 5.2 / 9),
        (continual.mtil_last(HAND), 2.2 / 3),
        (continual.diaz_accuracy(HAND), 4.6 / 6),
        (continual.diaz_bwt(HAND), -0.4 / 3),
        (continual.diaz_rem(HAND), 1 - 0.4 / 3),
        (continual.diaz_bwt_plus(HAND), 0),
        (continual.diaz_fwt(HAND), 0.2),
        (continual.mammoth_forgetting(HAND), 0.15),
        (continual.fwt_over_single(HAND, [0.8, 0.8, 0.9]), -0.1 / 3),
        (continual.intransigence_by_stage(HAND, [0.9, 0.9, 0.9]), [0, 0.1, 0.2]),
        (continual.intransigence(HAND, [np.nan, np.nan, 0.9]), 0.2),
        (continual.bwt_over_given(HAND, GIVEN), (0.6 + 0.5 + 0.8) / 3),
        (continual.fwt_over_given(HAND, GIVEN), 0.1),
        (curves.libero_code_nbt(HAND), ((0.2 + 0.3) / 2 - 0.1) / 3),
    ],
)
def test_the_cards_matrix_by_hand(found, expected):
    assert found == pytest.approx(expected, abs=1e-12)


def test_losses_as_perplexities():
    perplexity = np.array([[2.0, 9.0], [6.0, 4.0]])
    losses = np.log(perplexity)
    assert continual.average_perplexity(losses) == pytest.approx(5)
    assert continual.perplexity_of_average(losses) == pytest.approx(24**0.5)
    assert continual.perplexity_forgetting(losses) == pytest.approx(4)
    assert continual.bwt(losses, lower_is_better=True) == pytest.approx(np.log(2 / 6))
    gain = continual.fwt_over_given(perplexity, [3.0, 12.0], lower_is_better=True)
    assert gain == pytest.approx(3)


def test_curves_by_hand():
    curve = np.array([[0.1, 0.5, 0.3], [0.2, 0.4, 0.6]])
    held = [[0.1, 0.5, 0.5], [0.2, 0.4, 0.6]]
    assert curves.libero_curves(curve).tolist() == held
    assert (-curves.libero_curves(-curve, lower_is_better=True)).tolist() == held
    scores = np.array([[0.45, 0.0], [0.2, 0.6]])
    speed = np.mean(held, axis=1)
    assert curves.libero_fwt(curve) == pytest.approx(speed.mean())
    assert curves.libero_nbt(scores, curve) == pytest.approx((0.5 - 0.2) / 2)
    assert curves.libero_code_nbt(scores) == pytest.approx((0.45 - 0.2) / 2)
    assert curves.libero_auc(scores, curve) == pytest.approx(((speed[0] + 0.2) / 2 + speed[1]) / 2)
    z = curve.mean(axis=0)
    assert curves.lca(z, [0, 1, 2]) == pytest.approx(z.mean())
    assert curves.agem_code_lca(z, [0, 1, 3]) == pytest.approx((0.15 + 0.45) / 2 / 3 + 0.45 * 2 / 3)
    with pytest.raises(RequestError, match="after each mini-batch"):
        curves.lca(z, [0, 1, 3])


def test_the_worst_moment_counts():
    within = np.full((3, 3, 2), np.nan)
    within[1, 0] = [0.5, 0.65]
    within[2, 0] = [0.8, 0.7]
    within[2, 1] = [0.95, 0.85]
    assert curves.min_accuracy(HAND, within) == pytest.approx((0.5 + 0.85) / 2)
    assert curves.wc_accuracy(HAND, within) == pytest.approx(0.7 / 3 + 2 / 3 * 0.675)
    within[2, 0, 1] = np.nan
    with pytest.raises(MissingScore, match=r"min_accuracy needs within\[3, 1, 2\]"):
        curves.min_accuracy(HAND, within)


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.float64, 4, elements=st.floats(0, 1)))
def test_nothing_moves_where_nothing_changes(columns):
    scores = np.tile(columns, (4, 1))
    for metric in (continual.bwt, continual.forgetting, curves.libero_code_nbt):
        assert metric(scores) == 0
    for metric in (continual.mtil_avg, continual.mtil_last, continual.learning_accuracy):
        assert metric(scores) == pytest.approx(continual.average_accuracy(scores))


@settings(max_examples=30, deadline=None)
@given(square())
def test_forgetting_is_at_least_the_backward_loss(scores):
    backward, forgotten = continual.bwt(scores), continual.forgetting(scores)
    assert forgotten >= -backward - 1e-12
    before = scores[:-1, :-1]
    peaks = (np.diagonal(before) == before.max(axis=0)).all()
    assert (abs(forgotten + backward) < 1e-12) >= peaks
    assert continual.forgetting(scores, since_trained=True) <= forgotten + 1e-12
    assert continual.mammoth_forgetting(scores) >= 0


@settings(max_examples=30, deadline=None)
@given(square())
def test_identities(scores):
    size = len(scores)
    code = continual.gem_code_bwt(scores)
    assert code == continual.bwt(scores) * (size - 1) / size
    retained = continual.average_accuracy(scores) - continual.learning_accuracy(scores)
    assert retained == pytest.approx(code, abs=1e-12)


def test_a_single_task_leaves_differences_undefined():
    one = np.array([[0.7]])
    defined = {}
    for metric in SEQUENCE_METRICS:
        try:
            defined[metric.name] = metric.value(inputs(one), accuracy)
        except RequestError as error:
            assert "undefined for 1 task" in str(error)
    assert defined["average_accuracy"] == 0.7
    assert not {"bwt", "fwt", "forgetting", "libero_nbt", "diaz_bwt", "min_accuracy"} & set(defined)


@pytest.mark.parametrize("metric", DIRECTED, ids=lambda metric: metric.name)
@pytest.mark.parametrize("size", [2, 5])
def test_less_is_better_on_negative_scores_is_the_same(metric, size):
    scores = np.random.default_rng(size).random((size, size))
    there = metric.value(inputs(scores), accuracy)
    back = metric.value(flipped(inputs(scores)), cross_entropy)
    assert back == pytest.approx(-there if metric.level else there, abs=1e-12)


@pytest.mark.parametrize("metric", DIFFERENCES, ids=lambda metric: metric.name)
def test_a_constant_more_changes_no_difference(metric):
    given = inputs(np.random.default_rng(3).random((4, 4)))
    more = {name: value if name == "at" else value + 0.5 for name, value in given.items()}
    assert metric.value(more, accuracy) == pytest.approx(metric.value(given, accuracy), abs=1e-12)


@pytest.mark.parametrize("metric", LEVELS, ids=lambda metric: metric.name)
def test_a_constant_more_shifts_every_average(metric):
    given = inputs(np.random.default_rng(3).random((4, 4)))
    more = {name: value if name == "at" else value + 0.5 for name, value in given.items()}
    assert metric.value(more, accuracy) == pytest.approx(metric.value(given, accuracy) + 0.5)


def test_order_and_orientation_matter():
    scores = np.random.default_rng(5).random((4, 4))
    order = [2, 0, 3, 1]
    for metric in (continual.bwt, continual.forgetting, curves.libero_code_nbt):
        assert abs(metric(scores) - metric(scores[np.ix_(order, order)])) > 0.01
        assert abs(metric(scores) - metric(scores.T)) > 0.01


def test_what_a_metric_does_not_need_may_be_missing():
    lower = np.where(np.tri(3, dtype=bool), HAND, np.nan)
    assert continual.bwt(lower) == pytest.approx(-0.1)
    assert continual.learning_accuracy(lower) == pytest.approx(0.8)
    assert continual.forgetting(lower, since_trained=True) == pytest.approx(0.1)
    assert continual.forgetting_since_trained(lower) == pytest.approx(0.1)
    assert curves.libero_code_nbt(lower) == curves.libero_code_nbt(HAND)
    for missing in (
        lambda: continual.forgetting(lower),
        lambda: continual.fwt(lower, GIVEN),
        lambda: continual.mtil_transfer(lower),
        lambda: continual.mtil_avg(lower),
        lambda: continual.diaz_fwt(lower),
    ):
        with pytest.raises(MissingScore, match=r"needs R\[1, [123]\], which is missing"):
            missing()


@pytest.mark.parametrize("metric", SCORES_ONLY, ids=lambda metric: metric.name)
def test_each_missing_cell_raises_or_does_not_matter(metric):
    """A cell is missing: either an error names it, or the value is that of any score there."""
    scores = np.random.default_rng(8).random((4, 4))
    for cell in np.ndindex(4, 4):
        without, other = scores.copy(), scores.copy()
        without[cell], other[cell] = np.nan, 0.0
        try:
            found = metric.value({"scores": without}, accuracy)
        except MissingScore as error:
            assert error.place == cell
        else:
            assert found == metric.value({"scores": other}, accuracy)


def test_a_missing_reference_is_named():
    with pytest.raises(MissingScore, match=r"fwt needs given\[2\]"):
        continual.fwt(HAND, [np.nan, np.nan, 0.1])
    assert continual.fwt(HAND, [np.nan, 0.1, 0.1]) == pytest.approx(0.15)
    with pytest.raises(MissingScore, match=r"intransigence needs joint\[3\]"):
        continual.intransigence(HAND, [0.9, 0.9, np.nan])
    with pytest.raises(ValueError, match="given must be"):
        continual.fwt(HAND, [0.1, 0.1])
    with pytest.raises(ValueError, match="R must be"):
        continual.bwt(HAND[:2])


@pytest.mark.parametrize("metric", SEQUENCE_METRICS, ids=lambda metric: metric.name)
def test_resamples_are_computed_side_by_side(metric):
    rng = np.random.default_rng(1)
    several = [inputs(rng.random((3, 3)), seed) for seed in range(5)]
    stacked = {name: np.stack([one[name] for one in several]) for name in several[0]}
    stacked["at"] = several[0]["at"]
    each = [metric.value(one, accuracy) for one in several]
    assert metric.value(stacked, accuracy) == pytest.approx(np.array(each), abs=1e-12)


def test_every_metric_is_named_and_explained():
    for metric in SEQUENCE_METRICS:
        assert METRICS[metric.name] is metric
        assert isinstance(metric, SequenceMetric)
        assert metric.definition.endswith(".")
        assert metric.source
        assert metric.better in ("higher", "lower")
        assert metric.kind == "sequence"
    assert (METRICS["bwt"].better_for(cross_entropy), METRICS["bwt"].unit_for(cross_entropy)) == (
        "higher",
        "nats",
    )
    assert METRICS["average_accuracy"].better_for(cross_entropy) == "lower"
    assert METRICS["bwt"].bounds_for(accuracy) == (-1, 1)
    assert METRICS["mammoth_forgetting"].bounds_for(accuracy) == (0, 1)
    assert METRICS["average_perplexity"].unit_for(cross_entropy) == "perplexity"
