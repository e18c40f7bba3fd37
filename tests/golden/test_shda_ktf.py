"""One evaluation of KTF's objective against the values of the authors' own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bequest.core.live import Batch
from bequest.lazy import torch
from bequest.methods.adapt._heterogeneous import Everything
from bequest.methods.adapt.shda_ktf import ShdaKtf, ShdaKtfNetwork
from bequest.transfer.terms import total, weighed

CASES = sorted((Path(__file__).parent / "shda_ktf").glob("step_*.npz"))
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture(params=CASES, ids=lambda path: path.stem)
def vectors(request):
    with np.load(request.param) as file:
        return {name: torch.from_numpy(file[name]) for name in file}


@pytest.fixture
def network(vectors):
    (inputs, width), classes = vectors["w1"].shape, vectors["w2"].shape[1]
    labels = tuple(map(str, range(classes)))
    made = ShdaKtfNetwork(width=width).build((inputs,), "features", labels)
    weights = {
        "projector.0.weight": vectors["w1"].T,
        "projector.0.bias": vectors["b1"],
        "classifier.weight": vectors["w2"].T,
        "classifier.bias": vectors["b2"],
    }
    made.module.double().load_state_dict(weights)
    return made


def batch(inputs, targets):
    return Batch(torch.arange(len(inputs)), inputs, targets)


def terms(vectors, network):
    constants = {
        "source_weight": float(vectors["beta"]),
        "transfer_weight": float(vectors["mu"]),
        "penalty": float(vectors["tau"]),
    }
    given = Everything(
        0,
        batch(vectors["source"], vectors["ys"]),
        batch(vectors["xl"], vectors["yl"]),
        torch.cat([vectors["xl"], vectors["xu"]]),
    )
    return weighed(ShdaKtf(**constants).terms(network, given))


def test_projections_and_soft_labels(vectors, network):
    known, asked = network.project(vectors["xl"]), network.project(vectors["xu"])
    torch.testing.assert_close(known, vectors["proj_l"], **CLOSE)
    torch.testing.assert_close(asked, vectors["proj_u"], **CLOSE)
    soft = network.classify(asked).softmax(dim=1)
    torch.testing.assert_close(soft, vectors["soft_u"], **CLOSE)


def test_every_term(vectors, network):
    found = terms(vectors, network)
    weight, squares = found.pop("penalty")
    torch.testing.assert_close(weight * squares, vectors["reg"], **CLOSE)
    expected = {"target": "loss_target", "source": "loss_source", "transfer": "mmd"}
    for name, (_, value) in found.items():
        torch.testing.assert_close(value, vectors[expected[name]], **CLOSE)


def test_the_total_and_its_gradients(vectors, network):
    loss = total(terms(vectors, network))
    loss.backward()
    torch.testing.assert_close(loss.detach(), vectors["total"], **CLOSE)
    projector, classifier = network.module["projector"][0], network.module["classifier"]
    found = {
        "w1": projector.weight.grad.T,
        "b1": projector.bias.grad,
        "w2": classifier.weight.grad.T,
        "b2": classifier.bias.grad,
    }
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, vectors[f"grad_{name}"], **CLOSE)
