"""KD and the cross-entropy under it against the values of torchdistill's own code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bequest.core.live import Batch
from bequest.lazy import torch
from bequest.methods.distill.finetune import Finetune
from bequest.methods.distill.kd import Kd
from bequest.transfer.terms import total, weighed

VECTORS = Path(__file__).parent / "torchdistill" / "dev1_logits.npz"


def case(name):
    """The arrays of one case by name, and its constants."""
    with np.load(VECTORS) as file:
        found = {key.partition("__")[2]: file[key] for key in file if key.startswith(f"{name}__")}
    return found, json.loads(str(found["params"]))


def student(found):
    return torch.from_numpy(found["zs"]).requires_grad_()


def assert_same(terms, logits, found):
    loss = total(weighed(terms))
    loss.backward()
    assert loss.dtype is torch.float64
    assert float(loss.detach()) == pytest.approx(float(found["out"]), rel=1e-9)
    np.testing.assert_allclose(logits.grad.numpy(), found["grad_zs"], rtol=1e-9, atol=1e-15)


def test_hard_and_soft_terms_together():
    found, constants = case("kd_hard_soft")
    kd = Kd(temperature=constants["tau"], alpha=constants["alpha"], beta=constants["beta"])
    logits = student(found)
    terms = kd.terms(logits, torch.from_numpy(found["zt"]), torch.from_numpy(found["y"]))
    assert set(terms) == {"hard", "soft"}
    assert_same(terms, logits, found)


def test_soft_term_alone_as_released():
    found, constants = case("kd_soft_only")
    kd = Kd(temperature=constants["tau"], alpha=constants["alpha"], as_released=True)
    logits = student(found)
    terms = kd.terms(logits, torch.from_numpy(found["zt"]), None)
    assert_same(terms, logits, found)


def test_the_papers_soft_term_is_the_released_one_times_temperature_squared():
    found, constants = case("kd_soft_only")
    kd = Kd(temperature=constants["tau"], alpha=0.0)
    soft = torch.from_numpy(found["zt"])
    terms = kd.terms(student(found), soft, None)
    expected = constants["tau"] ** 2 * float(found["out"])
    assert float(total(weighed(terms)).detach()) == pytest.approx(expected, rel=1e-9)


def test_label_smoothing():
    found, constants = case("ce_label_smoothing")
    logits, bench = student(found), Caught(torch.from_numpy(found["y"]))
    next(Finetune(label_smoothing=constants["label_smoothing"]).transfer(bench))
    assert_same(bench.loss(Fixed(logits), bench.batch, None), logits, found)


class Fixed:
    """A model whose answer is known."""

    def __init__(self, logits):
        self._logits = logits

    def logits(self, inputs):
        return self._logits


class Caught:
    """A bench that trains nothing, but keeps the loss it was given."""

    name, train = "task", None

    def __init__(self, targets):
        self.batch = Batch(torch.arange(len(targets)), None, targets)

    def model(self, role):
        return None

    def tasks(self, purpose):
        return [self]

    def fit(self, modules, batches, loss):
        self.loss = loss
