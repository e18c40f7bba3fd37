"""DKT and SAKT against the values of pyKT's networks and loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bequest.build.trace_histories import Histories
from bequest.build.tracer import summed_nll
from bequest.lazy import torch
from bequest.methods.trace.dkt import DktNetwork
from bequest.methods.trace.sakt import SaktNetwork

VECTORS = Path(__file__).parent / "pykt"
SPECS = {
    "dkt": DktNetwork(width=6, dropout=0.0),
    "sakt": SaktNetwork(width=8, heads=2, dropout=0.0),
    "sakt_two_blocks": SaktNetwork(width=8, heads=2, blocks=2, dropout=0.0),
}
NAMES = {
    "dkt": {"interaction_emb": "embedding", "lstm_layer": "lstm", "out_layer": "out"},
    "sakt": {
        "interaction_emb": "answered",
        "exercise_emb": "asked",
        "position_emb": "position",
        "attn_layer_norm": "norm_1",
        "FFN_layer_norm": "norm_2",
        "FFN.FFN": "dense",
        "attn.": "attention.",
        "pred": "out",
    },
}


def own_name(network, name):
    for theirs, ours in NAMES[network].items():
        name = name.replace(theirs, ours)
    return name


@pytest.mark.parametrize("case", SPECS)
def test_probabilities_loss_and_gradient(case):
    with np.load(VECTORS / f"{case}.npz") as file:
        golden = dict(file)
    network = case.partition("_")[0]
    # pyKT has a place more, which a history of nine answers never reaches.
    model = SPECS[case].build((9,), "answers", tuple("abcd"))
    model.module.double().eval()
    model.module.load_state_dict(
        {
            own_name(network, name.removeprefix("param.")): torch.from_numpy(value).double()
            for name, value in golden.items()
            if name.startswith("param.")
        }
    )
    present = np.arange(9) < golden["length"][:, None]
    question = np.tile(np.arange(9), (3, 1))
    columns = (golden["concept"], golden["right"], question)
    histories = Histories(model.labels, golden["length"], *(each[present] for each in columns))

    likely = torch.sigmoid(model.trace(histories).values)
    np.testing.assert_allclose(likely.detach().numpy(), golden["probability"], rtol=1e-9)
    total, count = summed_nll(model, histories)
    loss = total / count
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(golden["loss"]), rel=1e-9)
    first = "embedding" if network == "dkt" else "answered"
    gradient = model.layers[first].weight.grad.numpy()
    np.testing.assert_allclose(gradient, golden["grad_interaction_emb"], rtol=1e-9, atol=1e-14)
