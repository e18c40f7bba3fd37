"""Domains one after another: the order of a chain, and what a run of it is made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bequest
from bequest.core.errors import RequestError
from bequest.lazy import torch
from bequest.methods.continual.continual_pretraining import similar_order

pytestmark = pytest.mark.usefixtures("workdir")
FOUR = ["domain00", "domain10", "domain01", "domain11"]  # two families in turn


@given(st.integers(1, 9), st.integers(0, 99))
def test_a_chain_visits_each_domain_once_and_starts_closest_to_the_reference(count, seed):
    vectors = torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))
    reference = torch.randn(5, generator=torch.Generator().manual_seed(seed + 1))
    chain = similar_order(vectors, reference)
    assert sorted(chain) == list(range(count))
    closeness = torch.nn.functional.cosine_similarity(vectors, reference[None])
    assert chain[0] == int(closeness.argmax())
    assert chain == similar_order(vectors, reference)


def test_far_clusters_are_visited_one_after_the_other():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9], [0.8, 0.2]])
    families = [int(vectors[row, 1] > 0.5) for row in similar_order(vectors, vectors[1])]
    assert families == [1, 1, 0, 0, 0]


def recipe(order="given", **more):
    tasks = {
        name: {"use": "domains:Chain", "family": int(name[-2]), "member": int(name[-1])}
        for name in FOUR
    }
    return {
        "models": {"student": {"use": "domains:Gru"}, "encoder": {"use": "domains:Pairs"}},
        "tasks": tasks,
        "method": {"use": "continual_pretraining", "order": order},
        "fit": {"steps": 3, "optimizer": {"use": "adam", "lr": 1e-3}},
        **more,
    }


def learned(run):
    return [row.learned for row in run.matrix.rows if row.line == "main"]


def test_orders():
    assert learned(bequest.run(recipe(), out="given")) == FOUR
    similar = learned(bequest.run(recipe("similar"), out="similar"))
    assert similar == ["domain00", "domain01", "domain10", "domain11"] or similar == [
        "domain00", "domain01", "domain11", "domain10",
    ]  # fmt: skip
    shuffled = learned(bequest.run(recipe("random"), out="random"))
    assert sorted(shuffled) == sorted(FOUR)
    assert shuffled == learned(bequest.run(recipe("random"), out="again"))


def test_a_sample_of_what_it_was_pretrained_on_decides_where_the_chain_starts():
    like = {"use": "domains:Chain", "family": 1, "member": 0, "draw": 0, "purpose": "source"}
    given_first = recipe("similar")
    given_first["tasks"] |= {"web": like}
    assert learned(bequest.run(given_first, out="run"))[0] == "domain10"


def test_similar_order_needs_an_encoder():
    without = recipe("similar")
    del without["models"]["encoder"]
    with pytest.raises(RequestError, match="similar order needs a model in the role `encoder`"):
        bequest.run(without, out="run")


def test_its_numbers_come_with_their_references():
    run = bequest.run(recipe(lines=["single", "joint"]), out="run")
    (own,) = [one for one in run.matrix.sequences if one.learned.line == "main"]
    scores = own.means()
    given_row = next(row.order for row in run.matrix.rows if row.name == "student")
    before = [run.matrix.value("log_perplexity", given_row, task).value for task in FOUR]
    lower = np.tril_indices(4, -1)
    gain = np.array(before)[None] - scores
    assert own.value("bwt_over_given").value == pytest.approx(gain[lower].mean(), abs=1e-5)
    mean = np.exp(scores[-1]).mean()
    assert own.value("average_perplexity").value == pytest.approx(mean, rel=1e-5)
    assert own.value("perplexity_of_average").value <= mean
    assert np.isfinite(own.value("fwt_over_single").value)


def test_replay_mixes_texts_too():
    replayed = recipe()
    replayed["method"] = {"use": "replay", "memory": 40}
    run = bequest.run(replayed, out="run")
    assert learned(run) == FOUR


def test_methods_on_labels_refuse_it():
    refused = recipe()
    refused["method"] = {"use": "ewc"}
    with pytest.raises(RequestError, match="role `student` of method `ewc` asks `logits`"):
        bequest.run(refused, out="run")
