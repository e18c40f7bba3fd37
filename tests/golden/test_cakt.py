"""CAKT against the values of its authors' network: frames, features, logits, loss, gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bequest.build.trace_histories import Histories, padded
from bequest.build.tracer import summed_nll
from bequest.lazy import torch
from bequest.methods.trace.cakt import CaktNetwork
from bequest.ops.ranking import area_under_curve

VECTORS = Path(__file__).parent / "cakt" / "forward_small.npz"
NAMES = {
    "LSTM_FRONT.LSTM": "front",
    "LSTM_REAR.LSTM": "rear",
    "fc_c3d_gate": "gate_recent",
    "fc_lstm_gate": "gate_overall",
    "fc_final": "out",
    **{f"layer{number + 1}.0": f"blocks.{number}" for number in range(4)},
}
PARTS = {
    "conv3d_": "conv_",
    "bn": "norm_",
    "downsample": "shortcut",
    "se_layer.fc.0": "squeeze",
    "se_layer.fc.2": "excite",
}


@pytest.fixture(scope="module")
def golden():
    with np.load(VECTORS) as file:
        return dict(file)


def own_name(name):
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    for theirs, ours in PARTS.items():
        name = name.replace(theirs, ours) if name.startswith("blocks") else name
    return name


@pytest.fixture
def tracer(golden):
    spec = CaktNetwork(side=int(golden["H"]), kept=int(golden["k"]))
    labels = tuple(str(1 + number) for number in range(int(golden["K"])))
    model = spec.build((8,), "answers", labels)
    state = {
        own_name(name.removeprefix("param.")): torch.from_numpy(value).double()
        for name, value in golden.items()
        if name.startswith("param.")
    }
    state["decay.0"] = state.pop("S")[0]
    state["embedding.weight"] = state["embedding.weight"][1:]  # code 0 is their padding
    model.module.double()
    missing = model.module.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    model.module.eval()
    return model


@pytest.fixture
def histories(golden):
    """Each student's codes, and the last answer, which is only asked."""
    concepts, lengths, concept, right = int(golden["K"]), [], [], []
    for codes, following, correct in zip(
        golden["x"], golden["next_concept"], golden["next_correct"], strict=True
    ):
        steps = int((following > 0).sum())
        code = codes[:steps] - 1
        concept += [*(code % concepts), following[steps - 1] - 1]
        right += [*(code // concepts), int(correct[steps - 1])]
        lengths.append(steps + 1)
    names = tuple(str(1 + number) for number in range(concepts))
    question = np.concatenate([np.arange(length) for length in lengths])
    return Histories(names, *(np.array(each) for each in (lengths, concept, right)), question)


def same(ours, theirs):
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-8, atol=1e-8)


def test_frames_features_and_logits(golden, tracer, histories):
    steps, valid = padded(histories), golden["next_concept"] > 0
    np.testing.assert_array_equal(steps.told.numpy(), valid)
    embedded = tracer.layers["embedding"](steps.codes(len(tracer.labels)))
    frames = tracer.frames(steps, embedded)
    same(frames[:, 0], golden["frames"][valid])
    same(tracer.pooled(frames), golden["pooled"][valid])
    same(tracer.layers["out"](tracer.states(steps))[steps.told], golden["logits"][valid])


def test_predictions_loss_and_gradients(golden, tracer, histories):
    found = tracer.trace(histories)
    same(found.values, golden["pred"])
    right = histories.right[histories.before() >= 0]
    np.testing.assert_array_equal(right, golden["label"])
    total, count = summed_nll(tracer, histories)
    loss = total / count
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(golden["loss"]), abs=1e-8)
    same(tracer.layers["decay"][0].grad, golden["grad_S"][0])
    same(tracer.layers["embedding"].weight.grad, golden["grad_embedding"][1:])


def test_area_under_curve(golden):
    weights = np.full(len(golden["pred"]), 1 / len(golden["pred"]))
    found = area_under_curve(golden["pred"], golden["label"], weights)
    assert float(found) == pytest.approx(float(golden["auc"]), abs=1e-12)
