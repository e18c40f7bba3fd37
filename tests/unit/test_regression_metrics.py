"""Metrics of predicted numbers: their values, their intervals, and which direction is good."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from bequest.core.outcomes import Outcomes
from bequest.measure.gate import judge
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.table import Cells

ROWS = (
    Row("given", "net", "net", line="given", order=0),
    Row("train", "trained", "net", learned="homes", order=1, after=0),
)
SAMPLES = 90
RNG = np.random.default_rng(3)
TARGETS = 200 + 40 * RNG.standard_normal(SAMPLES)
PREDICTED = TARGETS + 15 * RNG.standard_normal(SAMPLES)


def outcomes(prediction, target=TARGETS, unit=None):
    columns = {"prediction": prediction, "target": target, "error": prediction - target}
    if np.ptp(target):
        columns["centred"] = target - target.mean()
    return Outcomes(np.arange(len(target)), columns, unit, labels=("price",))


def matrix(*predictions, target=TARGETS, unit=None):
    """A row for each of the predictions, all of one seed."""
    found = {(row, "homes", 0): outcomes(p, target, unit) for row, p in enumerate(predictions)}
    return Matrix(Cells(ROWS[: len(predictions)], ("homes",), (0,), found))


def value(name, held, row=0, **fields):
    return held.value(name, row, "homes", **fields)


@pytest.mark.parametrize("moved", [0.0, 1e9])
def test_values_are_those_of_scikit_learn(moved):
    target, prediction = TARGETS + moved, PREDICTED + moved
    held = matrix(prediction, target=target)
    squared = mean_squared_error(target, prediction)
    assert value("rmse", held).value == pytest.approx(squared**0.5, rel=1e-6)
    assert value("mae", held).value == pytest.approx(
        mean_absolute_error(target, prediction), rel=1e-6
    )
    assert value("r2", held).value == pytest.approx(r2_score(target, prediction), rel=1e-6)


def test_a_prediction_of_the_mean_explains_nothing_and_a_worse_one_less():
    assert value("r2", matrix(np.full(SAMPLES, TARGETS.mean()))).value == pytest.approx(0, abs=1e-6)
    assert value("r2", matrix(np.zeros(SAMPLES))).value < -10
    assert value("r2", matrix(TARGETS)).value == 1
    assert value("rmse", matrix(TARGETS)).value == 0


def test_errors_of_any_size_are_squared():
    huge = matrix(TARGETS * 1e25, target=TARGETS * 1.1e25)
    assert value("rmse", huge).value == pytest.approx(
        (np.square(TARGETS * 0.1e25).mean()) ** 0.5, rel=1e-5
    )
    assert np.isfinite(value("r2", huge).value)


def test_the_interval_of_rmse_is_as_wide_as_theory_says():
    """Of normal errors n · mse / σ² is chi-squared with n degrees of freedom."""
    n = 2000
    target = np.arange(n, dtype=float)
    held = matrix(target + 10 * np.random.default_rng(0).standard_normal(n), target=target)
    found = value("rmse", held)
    low, high = found.value / np.sqrt(stats.chi2.ppf([0.975, 0.025], n) / n)
    assert found.low == pytest.approx(low, abs=0.06)
    assert found.high == pytest.approx(high, abs=0.06)


def test_every_interval_holds_its_value_and_groups_are_resampled_whole():
    alone = matrix(PREDICTED)
    together = matrix(PREDICTED, unit=np.arange(SAMPLES) // 30)
    for name in ("rmse", "mae", "r2"):
        found = value(name, alone)
        assert found.low < found.value < found.high
        assert (found.units, value(name, together).units) == (SAMPLES, 3)


def test_the_first_is_what_a_task_is_judged_by_and_lower_is_better():
    held = matrix(PREDICTED, TARGETS + 0.3 * (PREDICTED - TARGETS))
    assert held.primary("homes") == "rmse"
    (change,) = held.changes()
    assert change.verdict == "surely better"
    assert change.difference.value == pytest.approx(-0.7 * value("rmse", held).value, rel=1e-5)
    assert change.difference.high < 0
    (worse,) = matrix(TARGETS + 0.3 * (PREDICTED - TARGETS), PREDICTED).changes()
    assert worse.verdict == "surely worse"


def test_rules_of_a_gate_read_them():
    held = matrix(PREDICTED, TARGETS + 0.3 * (PREDICTED - TARGETS))
    rules = ["rmse(homes) <= 10", "rmse(homes) vs given.net < 0 surely", "r2(homes) >= 0.9 surely"]
    assert judge(rules, held).passed
    assert not judge(["mae(homes) vs given.net >= 0"], held).passed


def test_flips_and_accuracy_are_not_there_rather_than_zero():
    held = matrix(PREDICTED, TARGETS)
    for name in ("accuracy", "gain", "positive_flips", "negative_flips", "agreement"):
        assert not held.has(name, 1, "homes", 0)


def test_r2_is_absent_where_all_targets_are_equal():
    held = matrix(PREDICTED, target=np.full(SAMPLES, 5.0))
    assert not held.has("r2", 0, "homes")
    assert held.has("rmse", 0, "homes")


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_a_prediction_that_is_no_number_is_never_averaged(odd):
    broken = PREDICTED.copy()
    broken[7] = odd
    held = matrix(PREDICTED, broken)
    with np.errstate(invalid="ignore", over="ignore"):
        for name in ("rmse", "mae", "r2"):
            if held.has(name, 1, "homes"):
                assert not np.isfinite(value(name, held, 1).value)
        assert not judge(["rmse(homes) <= 1e9"], held).passed
