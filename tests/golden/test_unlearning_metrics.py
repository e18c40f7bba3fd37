"""What audits of unlearning measure, against the values of OpenUnlearning's own code."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bequest.build.comparing import rouge_l
from bequest.build.memorising import (
    exact_memorisation,
    extraction_likelihoods,
    extraction_strength,
    min_k,
    min_k_plus,
)
from bequest.measure.distances import ks_p_value
from bequest.measure.memory_metrics import (
    area,
    harmonic_mean,
    normalised_probability,
    privleak_of,
    relative_difference,
    truth_ratio,
    truth_ratio_balance,
    truth_ratios,
    truth_share,
)

HERE = Path(__file__).parent
METRICS = HERE / "unlearning_metrics" / "metrics.npz"
OTHERS = HERE / "knowledge_unlearning" / "other_methods.npz"


@pytest.fixture(scope="module")
def found():
    with np.load(METRICS) as file:
        return {name: file[name] for name in file}


def tokens(found, part):
    """Of each row: log-probabilities, whether the likeliest, mean and variance; [tokens, 4]."""
    for logits, labels in zip(found[f"{part}_logits"], found[f"{part}_labels"], strict=True):
        places = np.flatnonzero(labels != -100)
        each = logits[places - 1] - np.log(np.exp(logits[places - 1]).sum(axis=1, keepdims=True))
        mean = (np.exp(each) * each).sum(axis=1)
        variance = (np.exp(each) * each**2).sum(axis=1) - mean**2
        right = each.argmax(axis=1) == labels[places]
        said = each[np.arange(len(places)), labels[places]]
        yield np.stack([said, right, mean, variance], axis=1)


def losses(found, part):
    return np.array([-row[:, 0].mean() for row in tokens(found, part)])


def test_memorisation(found):
    rows = [row[:-1, 1] for row in tokens(found, "forget")]
    assert [exact_memorisation(row) for row in rows] == pytest.approx(found["em"], abs=1e-9)
    assert [extraction_strength(row) for row in rows] == pytest.approx(found["es_intended"])
    released = [extraction_strength(row, as_released=True) for row in rows]
    assert released == pytest.approx(found["es_code"], abs=1e-9)
    assert losses(found, "forget") == pytest.approx(found["avg_loss"], abs=1e-9)
    assert np.exp(-losses(found, "forget")).mean() == pytest.approx(float(found["prob_mean"]))


@pytest.mark.parametrize("part", ["forget", "holdout"])
def test_membership_scores(found, part):
    share = float(found["k"])
    rows = [row[:-1] for row in tokens(found, part)]
    lowest = [min_k(row[:, 0], share) for row in rows]
    assert lowest == pytest.approx(found[f"mia_min_k_{part}"], abs=1e-6)
    standing = [min_k_plus(row[:, 0], row[:, 2], row[:, 3], share) for row in rows]
    assert standing == pytest.approx(found[f"mia_min_k_pp_{part}"], abs=1e-6)
    apart = losses(found, part) - losses(found, f"{part}_ref")
    assert apart == pytest.approx(found[f"mia_reference_{part}"], abs=1e-9)


@pytest.mark.parametrize("score", ["loss", "min_k", "min_k_pp", "zlib", "reference"])
def test_area_under_the_curve(found, score):
    parts = [found[f"mia_{score}_{part}"] for part in ("forget", "holdout")]
    scores, member = np.concatenate(parts), np.repeat([1, 0], [len(part) for part in parts])
    weights = np.full(len(scores), 1 / len(scores))
    assert float(area(scores, member, weights)) == pytest.approx(
        float(found[f"mia_{score}_auc"]), abs=1e-12
    )


def test_truth_ratio(found):
    right, wrong = found["tr_correct_loss"], found["tr_wrong_loss"]
    columns = {
        "reworded_loss": right,
        "wrong_loss": wrong.mean(axis=1),
        "probability": np.exp(-right),
        "wrong_probability": np.exp(-wrong).sum(axis=1),
    }
    assert truth_ratios(right, columns["wrong_loss"]) == pytest.approx(found["tr_values"], abs=1e-9)
    for metric, stored in (
        (truth_ratio_balance, "tr_closer_to_1_better"),
        (truth_ratio, "tr_true_better"),
        (truth_share, "tr_prob_mean"),
    ):
        mean = metric.per_sample(columns).mean()
        assert mean == pytest.approx(float(found[stored]), abs=1e-9)
    assert normalised_probability.per_sample(columns) == pytest.approx(found["prob_norm"], abs=1e-9)


def test_against_a_gold_model(found):
    p = ks_p_value(found["fq_forget"], found["fq_retain"])
    assert p == pytest.approx(float(found["fq_pvalue"]), abs=1e-12)
    assert float(harmonic_mean(found["mu_values"])) == pytest.approx(float(found["mu"]), abs=1e-9)
    assert float(privleak_of(*found["pl_auc"])) == pytest.approx(float(found["privleak"]))
    assert float(relative_difference(*found["pl_auc"])) == pytest.approx(float(found["rel_diff"]))


def test_rouge(found):
    pairs = zip(found["rouge_truth"].tolist(), found["rouge_generated"].tolist(), strict=True)
    recall, f1 = zip(*(rouge_l(*pair) for pair in pairs), strict=True)
    assert list(recall) == pytest.approx(found["rougeL_recall"], abs=1e-9)
    assert list(f1) == pytest.approx(found["rougeL_f1"], abs=1e-9)


def test_extraction_likelihood():
    with np.load(OTHERS) as file:
        targets, after = file["el_target"].tolist(), file["el_next_token_map"].tolist()
        sizes, stored, accuracies = file["el_n"].tolist(), file["el_scores"], file["ma_scores"]
    for number, target in enumerate(targets):
        said = [_continued(target[:length], after, len(target)) for length in range(1, len(target))]
        scores = [extraction_likelihoods(target, said, size) for size in sizes]
        assert scores == pytest.approx(stored[:, number], abs=1e-12)
        right = [after[one] == other for one, other in pairwise(target)]
        assert exact_memorisation(right) == pytest.approx(accuracies[number])


def _continued(prefix, after, length):
    whole = list(prefix)
    while len(whole) < length:
        whole.append(after[whole[-1]])
    return whole[len(prefix) :]
