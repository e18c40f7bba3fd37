"""F1 and its kin, and areas under curves, against scikit-learn."""

import json
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

import bequest
from bequest.core.errors import RequestError
from bequest.core.outcomes import Outcomes
from bequest.measure.label_metrics import (
    LABEL_SCORES,
    average_precision,
    f1,
    precision,
    recall,
    roc_auc,
    weighted_f1,
)
from bequest.measure.matrix import Matrix
from bequest.measure.rows import Row
from bequest.measure.table import Cells

OF_ALL = {
    f1: lambda y, p, w: sk.f1_score(y, p, average="macro", sample_weight=w, zero_division=0),
    weighted_f1: lambda y, p, w: sk.f1_score(
        y, p, average="weighted", sample_weight=w, zero_division=0
    ),
    precision: lambda y, p, w: sk.precision_score(
        y, p, average="macro", sample_weight=w, zero_division=0
    ),
    recall: lambda y, p, w: sk.recall_score(
        y, p, average="macro", sample_weight=w, zero_division=0
    ),
}
OF_TWO = {
    roc_auc: lambda y, s, w: sk.roc_auc_score(y, s, sample_weight=w),
    average_precision: lambda y, s, w: sk.average_precision_score(y, s, sample_weight=w),
}
RNG = np.random.default_rng(5)
LABELS = {
    "balanced": (RNG.integers(0, 4, 90), RNG.integers(0, 4, 90)),
    "one in thirty": ((np.arange(90) % 30 == 0) * 1, (np.arange(90) % 25 == 0) * 1),
    "a label that is never predicted": (RNG.integers(0, 3, 60), RNG.integers(0, 2, 60)),
    "a label that no sample has": (RNG.integers(0, 2, 60), RNG.integers(0, 4, 60)),
    "nothing right": (np.zeros(9, int), np.ones(9, int)),
    "all right": (np.arange(9) % 3, np.arange(9) % 3),
    "three hundred labels": (RNG.integers(0, 300, 2000), RNG.integers(0, 300, 2000)),
}  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("metric", OF_ALL, ids=lambda metric: metric.name)
def test_scores_of_labels_are_those_of_scikit_learn(metric, name):
    label, predicted = LABELS[name]
    columns = {"label": label, "predicted": predicted}
    for weights in (np.ones(len(label)), RNG.exponential(size=len(label))):
        got = metric.compute(columns, weights / weights.sum())
        assert got == pytest.approx(OF_ALL[metric](label, predicted, weights), abs=1e-12)


SCORED = {
    "distinct": RNG.normal(size=80),
    "ties": RNG.integers(0, 5, 80).astype(float),
    "all the same": np.zeros(80),
    "ties at both ends": np.clip(RNG.normal(size=80), -0.5, 0.5),
}


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("rare", [2, 40])
@pytest.mark.parametrize("metric", OF_TWO, ids=lambda metric: metric.name)
def test_areas_are_those_of_scikit_learn(metric, rare, name):
    label, scores = (np.arange(80) % rare == 1) * 1, SCORED[name]
    columns = {"label": label, "log_odds": scores}
    weights = RNG.exponential(size=(3, 80))
    got = metric.compute(columns, weights / weights.sum(axis=1, keepdims=True))
    assert got == pytest.approx([OF_TWO[metric](label, scores, row) for row in weights])


@pytest.mark.parametrize("metric", OF_TWO, ids=lambda metric: metric.name)
def test_areas_of_one_label_alone_are_no_number(metric):
    columns = {"label": np.zeros(4, int), "log_odds": np.arange(4.0)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(metric.compute(columns, np.full(4, 0.25)))


def matrix_of(*columns, labels=("no", "yes"), **outcomes):
    samples = np.arange(len(columns[0]["label"]))
    rows = tuple(Row(f"s{i}", "m", "m", i) for i in range(len(columns)))
    cells = {(i, "t", 0): Outcomes(samples, c, labels=labels, **outcomes)
             for i, c in enumerate(columns)}  # fmt: skip
    return Matrix(Cells(rows, ("t",), (0,), cells, {}, {}))


@pytest.mark.parametrize("label", [0, 1])
def test_a_test_of_one_label_has_no_areas_and_says_why(label):
    columns = {"label": np.full(9, label), "predicted": np.full(9, label), "correct": np.ones(9),
               "log_odds": np.arange(9.0)}  # fmt: skip
    matrix = matrix_of(columns)
    with pytest.raises(RequestError, match="all its samples have the same label"):
        matrix.value("roc_auc", 0, "t")
    told = matrix.to_json()
    json.dumps(told, allow_nan=False)
    assert "roc_auc" not in {cell["metric"] for cell in told["cells"]}
    (absent,) = [one for one in told["absent"] if one["metric"] == "roc_auc"]
    assert absent["reason"] == "all its samples have the same label"
    assert matrix.value("f1", 0, "t").value == 1


def test_what_is_always_right_is_as_sure_as_its_rarest_label_has_samples():
    label = (np.arange(200) < 4) * 1
    perfect = {"label": label, "predicted": label, "log_odds": label - 0.5,
               "correct": np.ones(200, np.uint8)}  # fmt: skip
    matrix = matrix_of(perfect)
    low = {m: matrix.value(m, 0, "t").low for m in ("accuracy", "recall", "f1", "roc_auc")}
    exact = 0.025 ** (1 / 4)  # Clopper and Pearson: no error in four
    assert low["roc_auc"] == pytest.approx(exact, abs=0.01)
    assert low["recall"] == low["f1"] == pytest.approx((1 + exact) / 2, abs=0.01)
    assert low["accuracy"] == pytest.approx(0.025 ** (1 / 200), abs=0.01)


def test_samples_of_one_unit_are_not_several():
    label = np.r_[np.ones(8, int), np.zeros(192, int)]
    perfect = {"label": label, "predicted": label, "log_odds": label - 0.5}
    unit = np.r_[np.zeros(8, int), np.arange(1, 193)]
    low = matrix_of(perfect, unit=unit).value("recall", 0, "t").low
    assert low == pytest.approx((1 + 0.025) / 2, abs=0.01)


def test_intervals_cover_the_true_recall():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(100):
        label = (rng.random(120) < 0.2) * 1
        predicted = np.where(rng.random(120) < np.where(label, 0.7, 0.9), label, 1 - label)
        found = matrix_of({"label": label, "predicted": predicted}).value("recall", 0, "t")
        inside += found.low <= 0.8 <= found.high
    assert inside >= 90


def test_a_difference_of_f1_is_paired():
    rng = np.random.default_rng(3)
    label = rng.integers(0, 2, 300)
    before = np.where(rng.random(300) < 0.8, label, 1 - label)
    after = before.copy()
    after[:3] = label[:3]
    matrix = matrix_of(*({"label": label, "predicted": said} for said in (before, after)))
    difference = matrix.value("f1", 1, "t", 0)
    alone = matrix.value("f1", 1, "t")
    assert difference.value == pytest.approx(alone.value - matrix.value("f1", 0, "t").value)
    assert difference.high - difference.low < (alone.high - alone.low) / 2


def test_outcomes_of_before_have_what_they_recorded_and_say_what_they_lack():
    old = {"label": np.array([0, 1, 1]), "predicted": np.array([0, 1, 0]), "correct": [1, 1, 0],
           "nll": np.ones(3), "confidence": np.ones(3)}  # fmt: skip
    matrix = matrix_of({name: np.asarray(values) for name, values in old.items()})
    assert matrix.primary("t") == "accuracy"
    assert matrix.value("f1", 0, "t").value == pytest.approx(2 / 3)
    with pytest.raises(RequestError, match="log_odds; only tasks of two labels record them"):
        matrix.value("roc_auc", 0, "t")
    named = {cell["metric"] for cell in matrix.to_json()["cells"]}
    assert {"accuracy", "f1", "recall"} <= named
    assert "roc_auc" not in named


def recipe(task, *gate):
    return {
        "models": {"student": {"use": "mlp", "hidden": [8]}},
        "tasks": {"shop": task},
        "method": {"use": "finetune"},
        "fit": {"epochs": 3, "batch_size": 32, "optimizer": {"use": "adamw", "lr": 0.01}},
        "gate": list(gate),
    }


def test_a_run_is_judged_by_them(tmp_path):
    rules = [f"{metric.name}(shop) @ finetune >= 80 %" for metric in LABEL_SCORES]
    run = bequest.run(recipe({"use": "breast_cancer"}, *rules), out=str(tmp_path / "run"))
    assert run.verdict.passed
    cell = run.matrix.cells.outcomes[1, "shop", 0].columns
    right = cell["label"], cell["log_odds"]
    assert run.matrix.value("roc_auc", 1, "shop").value == pytest.approx(sk.roc_auc_score(*right))
    assert ((cell["log_odds"] > 0) == cell["predicted"]).all()
    probability = 1 / (1 + np.exp(-np.abs(cell["log_odds"].astype(float))))
    assert probability == pytest.approx(cell["confidence"], abs=1e-6)
    assert run.matrix.primary("shop") == LABEL_SCORES[0].name  # as the gate asks for no other


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("roc_auc(shop) @ finetune >= 0.9", "only tasks of two labels record them"),
        ("worst_group_accuracy(shop) @ finetune >= 0.9", "needs group"),
    ],
)
def test_rules_that_the_data_can_not_answer_are_found_before_the_run(rule, said, tmp_path):
    with pytest.raises(RequestError, match=said) as refused:
        bequest.run(recipe({"use": "wine"}, rule), out=str(tmp_path / "run"))
    assert refused.value.problems[0].field == ("gate", 0)
    assert not (tmp_path / "run").exists()
