"""BT2 and retrieval metrics against the official code's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bequest.build.embedding import Outputs
from bequest.build.model import Classifier
from bequest.lazy import torch
from bequest.methods.compat.bt2 import BasisVectors, Bt2, Sizes
from bequest.ops.retrieval import judged, of_equal_labels, places
from bequest.transfer.terms import total

HERE = Path(__file__).parent / "bt2"


@pytest.fixture(scope="module")
def retrieval():
    return np.load(HERE / "retrieval_self.npz")


def test_scores_of_a_list_that_is_searched_for_itself(retrieval):
    own = np.arange(len(retrieval["query"]))
    belongs = of_equal_labels(retrieval["query_ids"], retrieval["gallery_ids"], own)
    found = judged(retrieval["query"], retrieval["gallery"], belongs)
    for name, values in (
        ("cmc_top1", found["first_rank"] <= 1),
        ("cmc_top5", found["first_rank"] <= 5),
        ("mAP", found["average_precision"]),
    ):
        assert abs(values.mean() - retrieval[name]) < 1e-12


def test_the_whole_ranking_is_that_of_the_distances(retrieval):
    distances = retrieval["distmat"]
    for row in distances:
        found = places(1 - row, np.argsort(row, kind="stable"))
        assert found.tolist() == list(range(1, len(row) + 1))


@pytest.fixture(scope="module")
def vectors():
    found = np.load(HERE / "forward_loss_equal_dims.npz")
    return {name: torch.from_numpy(found[name]) for name in found.files}


def network(vectors):
    """The network with the official weights; its encoder hands on what it is given."""
    width, old_width, extra = (int(vectors[name]) for name in ("d_new", "d_old", "to_add"))
    gate = torch.nn.Linear(width + old_width, old_width)
    gate.weight.data, gate.bias.data = vectors["fc3_weight"].clone(), vectors["fc3_bias"].clone()
    bases = {"p": torch.nn.Linear(width, width, bias=False),
             "q": torch.nn.Linear(old_width, old_width, bias=False)}  # fmt: skip
    for name, base in bases.items():
        base.weight.data = vectors[name.upper()].clone()
    layers = torch.nn.ModuleDict({"trunk": torch.nn.Identity(), "gate": gate, **bases})
    inner = Outputs(Classifier(torch.nn.Identity(), ()))
    sizes = Sizes(width, old_width, extra)
    return BasisVectors(inner, layers, False, sizes, float(vectors["C"]))


def near(found, wanted):
    return float((found.detach() - wanted).abs().max()) < 1e-10


def test_forward_losses_and_gradients(vectors):
    net, out = network(vectors), vectors["fc_out_weight"].clone().requires_grad_()
    h = vectors["h"].clone().requires_grad_()
    parts = net.parts(h)
    logits = parts.feature @ out.T
    for name, found in (("feature", parts.feature), ("bct", parts.compatible),
                        ("phi_new", parts.whole), ("logits", logits)):  # fmt: skip
        assert near(found, vectors[name]), name
    new, influence, old = vectors["lambdas"].tolist()
    method = Bt2(match_new=new, influence=influence, match_old=old)
    terms = method.terms(parts, vectors["phi_old"], vectors["phi_newp"])
    terms |= method.terms_of_labels(parts, logits, vectors["pseudo_classifier"], vectors["y"])
    official = {"labels": "ce", "influence": "influence", "match_old": "old", "match_new": "new"}
    for name, (_, value) in terms.items():
        assert near(value, vectors[f"loss_{official[name]}"]), name
    whole = total(terms)
    assert near(whole, vectors["loss_total"])
    whole.backward()
    layers = net.layers
    for name, found in (("h", h), ("fc3_weight", layers["gate"].weight), ("P", layers["p"].weight),
                        ("Q", layers["q"].weight), ("fc_out", out)):  # fmt: skip
        assert near(found.grad, vectors[f"grad_{name}"]), name
