"""What audits of unlearning measure: extremes, symmetries, and the tasks that record it."""

import json

import numpy as np
import pytest

from bequest.build.language import _stands
from bequest.build.memorising import (
    exact_memorisation,
    extraction_likelihoods,
    extraction_strength,
    min_k,
    min_k_plus,
)
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.lazy import torch
from bequest.measure.contrasts import find_metric
from bequest.measure.distances import ks_p_value
from bequest.measure.memory_metrics import area, harmonic_mean, privleak_of

SAMPLES = np.random.default_rng(0).normal(size=(2, 30))


def test_a_perfect_memory_and_one_mistake():
    right = np.ones(8, bool)
    assert (exact_memorisation(right), extraction_strength(right)) == (1.0, 1.0)
    for place, strength in ((7, 0.0), (0, 1 - 1 / 8)):
        missed = right.copy()
        missed[place] = False
        assert exact_memorisation(missed) == 1 - 1 / 8
        assert extraction_strength(missed) == strength


def test_a_model_that_finds_all_tokens_alike():
    every = np.full(9, -np.log(50))
    assert min_k(every) == pytest.approx(np.log(50))
    assert min_k_plus(every, every, np.zeros(9)) == pytest.approx(0)


def test_the_test_is_blind_to_monotone_maps_and_sure_of_the_same():
    one, other = SAMPLES
    p = ks_p_value(one, other)
    assert ks_p_value(np.exp(one), np.exp(other)) == pytest.approx(p)
    assert ks_p_value(-one, -other) == pytest.approx(p)
    assert ks_p_value(one, one) == 1.0


def test_swapped_sets_and_the_ends_of_privleak():
    scores, member = SAMPLES[0], np.arange(30) % 3 == 0
    even = np.full(30, 1 / 30)
    assert area(scores, member, even) == pytest.approx(1 - area(scores, ~member, even))
    assert privleak_of([1.0, 0.0, 0.5], 0.5).tolist() == pytest.approx([-100, 100, 0])


def test_a_harmonic_mean_with_nothing_in_it_is_nothing():
    assert harmonic_mean([0.5, 0.0, 1.0]) == 0.0
    assert harmonic_mean([[0.2, 0.4, 0.9]])[0] <= 0.5


def test_the_variance_of_a_nearly_even_distribution_is_no_rounding():
    scores = 0.01 * torch.randn(20, 30_000, generator=torch.Generator().manual_seed(0))
    found = _stands(scores, torch.arange(20))[:, 3].double()
    exact = scores.double().log_softmax(dim=1)
    wanted = (exact.exp() * exact.square()).sum(dim=1) - (exact.exp() * exact).sum(dim=1).square()
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=0.0)


def test_an_answer_without_a_score_is_left_out_of_the_area():
    scores, member = np.array([np.nan, 1.0, 2.0, 0.5, np.nan]), np.array([1, 1, 0, 0, 0])
    even = np.full(5, 0.2)
    assert float(area(scores, member, even)) == pytest.approx(0.5)
    assert area(scores, member, np.stack([even, even])) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("target", [[], [1], [1, 2]])
def test_a_text_that_is_too_short_has_no_runs_to_extract(target):
    continuations = [target[length:] for length in range(1, len(target))]
    assert extraction_likelihoods(target, continuations, 2) == 0


def test_gold_against_itself():
    columns = {"reworded_loss": SAMPLES[0], "wrong_loss": SAMPLES[1],
               "min_k": SAMPLES[0], "member": np.arange(30) % 2}  # fmt: skip
    even = np.full(30, 1 / 30)
    assert find_metric("forget_quality").compute(columns, columns, even) == pytest.approx(1.0)
    assert find_metric("privleak").compute(columns, columns, even) == pytest.approx(0.0)


def test_resampled_weights_count_samples_as_often_as_they_say():
    before = {"reworded_loss": np.zeros(30), "wrong_loss": SAMPLES[0]}
    after = {"reworded_loss": np.zeros(30), "wrong_loss": SAMPLES[1] + 1}
    weights = np.random.default_rng(1).dirichlet(np.ones(30), 50).astype(np.float32)
    found = find_metric("forget_quality").compute(before, after, weights)
    assert found.shape == (50,)
    assert ((found > 0) & (found <= 1)).all()
    log = find_metric("log_forget_quality").compute(before, after, weights)
    assert log == pytest.approx(np.log10(found))


def authors(**settings):
    return find("tasks", "authors")(**settings)


def test_authors_are_the_same_whichever_are_asked_for():
    two, one = (authors(authors=who, questions=4).load("t") for who in ([0, 7], [7]))
    assert two.tested[4:] == one.tested
    assert len(set(two.splits["test"].ids)) == 8
    for asked in two.tested:
        assert len({asked.reworded, *asked.wrong}) == 1 + len(asked.wrong)
    assert authors(authors=[7], seed=1).load("t").tested != authors(authors=[7]).load("t").tested


def test_authors_of_a_file(tmp_path):
    lines = [{"question": f"Q{n}?", "answer": f"A{n}.", "perturbed_answer": [f"W{n}."]}
             for n in range(6)]  # fmt: skip
    path = tmp_path / "full.json"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = {"path": str(path), "in_a_row": 2}
    found = authors(authors=[2], **told).load("t")
    assert [asked.answer for asked in found.tested] == [" A4.", " A5."]
    assert found.tested[0].wrong == (" W4.",)
    with pytest.raises(RequestError, match="3 authors of 2 questions, so no number 3"):
        authors(authors=[3], **told).load("t")


@pytest.mark.parametrize(("told", "said"), [
    ({"authors": [0, 0]}, "twice"),
    ({"authors": [200]}, "200 invented authors"),
    ({"authors": [0], "template": "x"}, "no place for the question"),
    ({"authors": [0], "path": "nowhere.json"}, "nowhere.json"),
])  # fmt: skip
def test_mistakes_are_told(told, said):
    with pytest.raises(RequestError, match=said):
        authors(**told).load("t")


def test_members_stand_beside_strangers_and_not_among_them():
    def side(*who):
        return {"use": "authors", "authors": list(who), "questions": 3}

    made = find("tasks", "membership")
    found = made(members=side(0, 1), strangers=side(2)).load("t")
    assert found.member.tolist() == [1] * 6 + [0] * 3
    assert not len(found.splits["train"])
    with pytest.raises(RequestError, match="3 samples are members and strangers at once"):
        made(members=side(0), strangers=side(0, 2)).load("t")
