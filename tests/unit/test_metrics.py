"""Metrics against cases computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bequest.core.errors import RequestError
from bequest.measure.contrasts import (
    METRICS,
    agreement,
    find_metric,
    gain,
    negative_flips,
    positive_flips,
)
from bequest.measure.metrics import (
    SCORES,
    accuracy,
    calibration_error,
    cross_entropy,
    worst_group_accuracy,
)

CORRECT = np.array([True, True, False, True])
EVEN = np.full(4, 0.25)
MARKS = ("attack", "plain", "lead", "recovered", "refused", "guess", "fact_recovered", "direct",
         "indirect", "implied", "chained", "reasoned", "control")  # fmt: skip


NEEDED = sorted({column for each in SCORES for column in each.needs} - {"group", "member"})


def invented(rng, shape):
    """Every column that a score reads, of made-up answers."""
    return {
        **{name: rng.random(shape) for name in NEEDED},
        "correct": rng.random(shape) < 0.6,
        "right": np.arange(np.prod(shape)).reshape(shape) % 5 > 1,
        "log_odds": rng.normal(size=shape),
        "label": np.broadcast_to((np.arange(shape[0]) % 3 > 0).T, shape[::-1]).T * 1,
        "predicted": rng.integers(0, 3, shape),
        **{name: rng.exponential(size=shape) for name in ("nll", "text_nll")},
        **{name: rng.integers(1, 9, shape) for name in ("tokens", "bytes", "calls")},
        "member": np.broadcast_to((np.arange(shape[-1]) % 3 > 0), shape)
        if len(shape) == 1
        else np.broadcast_to((np.arange(shape[0]) % 3 > 0)[:, None], shape),
        **{name: rng.random(shape) < 0.7 for name in MARKS},
    }


def test_accuracy_and_cross_entropy_are_weighted_means():
    weights = np.array([[0.1, 0.2, 0.3, 0.4], [0.25] * 4])
    columns = {"correct": CORRECT, "nll": np.array([1.0, 2.0, 3.0, 4.0])}
    assert accuracy.compute(columns, weights) == pytest.approx([0.7, 0.75])
    assert cross_entropy.compute(columns, weights) == pytest.approx([3.0, 2.5])


def test_calibration_error_by_hand():
    columns = {"correct": np.array([1, 0, 1, 1]), "confidence": np.array([0.95, 0.95, 0.55, 0.55])}
    # half of the samples: right 0.5, sure 0.95; the other half: right 1, sure 0.55
    assert calibration_error.compute(columns, EVEN) == pytest.approx(0.5 * 0.45 + 0.5 * 0.45)


@pytest.mark.parametrize(("confidence", "error"), [(2 / 15, 0.0), (2 / 15 + 1e-6, 0.5)])
def test_a_bin_holds_its_upper_edge(confidence, error):
    low = 1.5 / 15
    columns = {
        "correct": np.array([0, 1]),
        "confidence": np.array([confidence, low]),
    }
    # together in one bin the gaps -confidence and 1 - low add up before the absolute value
    together = abs(1 - low - confidence) / 2
    apart = (confidence + 1 - low) / 2
    expected = apart if error else together
    got = calibration_error.compute(columns, np.full(2, 0.5))
    assert got == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_the_outermost_confidences_have_a_bin(confidence):
    columns = {"correct": np.array([1.0]), "confidence": np.array([confidence])}
    got = calibration_error.compute(columns, np.ones(1))
    assert got == pytest.approx(1 - confidence)


def test_worst_group_accuracy():
    columns = {"correct": np.array([1, 1, 0, 1]), "group": np.array(["a", "a", "b", "b"])}
    assert worst_group_accuracy.compute(columns, EVEN) == pytest.approx(0.5)
    weights = np.array([0.25, 0.25, 0.4, 0.1])
    assert worst_group_accuracy.compute(columns, weights) == pytest.approx(0.2)


def test_flips_gain_and_agreement_by_hand():
    before = {"correct": np.array([1, 1, 0, 0, 1]), "predicted": np.array([1, 2, 3, 4, 5])}
    after = {"correct": np.array([1, 0, 1, 1, 1]), "predicted": np.array([1, 0, 2, 3, 5])}
    even = np.full(5, 0.2)
    assert positive_flips.compute(before, after, even) == pytest.approx(0.4)
    assert negative_flips.compute(before, after, even) == pytest.approx(0.2)
    assert gain.compute(before, after, even) == pytest.approx(0.2)
    assert agreement.compute(before, after, even) == pytest.approx(0.4)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_gain_is_positive_less_negative_flips(pairs):
    before, after = ({"correct": np.array(side)} for side in zip(*pairs, strict=True))
    even = np.full(len(pairs), 1 / len(pairs))
    flips = [metric.compute(before, after, even) for metric in (positive_flips, negative_flips)]
    assert gain.compute(before, after, even) == pytest.approx(flips[0] - flips[1])


@pytest.mark.parametrize(
    "metric",
    [metric for metric in METRICS.values() if metric.kind == "score"],
    ids=lambda m: m.name,
)
def test_many_models_at_once_equal_one_by_one(metric):
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(40), size=7)
    stacked = invented(rng, (40, 3))
    group = {"group": rng.choice(["a", "b"], 40)}
    together = metric.compute({**stacked, **group}, weights)
    assert together.shape == (7, 3)
    for i in range(3):
        alone = metric.compute({**{k: v[:, i] for k, v in stacked.items()}, **group}, weights)
        assert together[:, i] == pytest.approx(alone)


@pytest.mark.parametrize(
    "metric",
    [metric for metric in METRICS.values() if metric.kind == "score"],
    ids=lambda m: m.name,
)
def test_a_double_weight_equals_a_repeated_sample(metric):
    rng = np.random.default_rng(2)
    columns = {
        **invented(rng, (6,)),
        "group": np.array(list("aabbab")),
    }
    twice = [0, 1, 1, 2, 3, 4, 5, 5]
    weights = np.bincount(twice) / len(twice)
    repeated = {name: values[twice] for name, values in columns.items()}
    even = np.full(len(twice), 1 / len(twice))
    assert metric.compute(columns, weights) == pytest.approx(metric.compute(repeated, even))


def test_every_metric_says_what_it_is():
    for metric in METRICS.values():
        assert metric.definition.endswith("."), metric.name
        assert metric.unit
        assert metric.bounds[0] < metric.bounds[1]


def test_an_unknown_metric_names_the_close_one():
    with pytest.raises(RequestError, match="did you mean `accuracy`"):
        find_metric("acuracy")


def test_a_cost_is_not_computed():
    with pytest.raises(TypeError):
        find_metric("seconds").compute({}, EVEN)
