"""Losses of unlearning, and their gradients, against the values of OpenUnlearning's own code."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bequest.core.find import find
from bequest.core.live import Batch, Ragged
from bequest.lazy import functional, torch
from bequest.ops.divergences import kl_from_logits
from bequest.ops.unlearning import preferred, summed
from bequest.transfer.learning import own_loss
from bequest.transfer.terms import total, weighed

VECTORS = Path(__file__).parent / "knowledge_unlearning"
FILES = ("losses_basic", "losses_all_labelled")
PARAMS = (
    "gamma", "alpha", "beta", "simnpo_beta", "delta", "wga_beta", "beta1", "beta2", "undial_beta",
    "skipped",
)  # fmt: skip

both = pytest.mark.parametrize("name", FILES)


class Sets:
    """The stored logits of each set of sequences, as a language model that says them."""

    def __init__(self, found, which=""):
        self.found, self.module = found, self
        self.logits = {
            name: torch.from_numpy(found[f"{name}{which}_logits"]).requires_grad_()
            for name in ("forget", "retain", "alt")
        }

    def get_output_embeddings(self):
        return torch.nn.Identity()

    def encoded(self, name):
        labels = torch.from_numpy(self.found[f"{name}_labels"])[:, 1:]
        scored = labels != -100
        return SimpleNamespace(name=name, scored=scored, targets=labels[scored],
                               lengths=scored.sum(dim=1))  # fmt: skip

    def states(self, encoded):
        return self.logits[encoded.name][:, :-1][encoded.scored]

    def scores(self, states):
        return states

    def hidden(self, name):
        encoded = self.encoded(name)
        return Ragged(self.states(encoded), encoded.lengths)

    def logprob(self, name):
        encoded = self.encoded(name)
        nll = functional.cross_entropy(self.states(encoded), encoded.targets, reduction="none")
        return Ragged(-nll, encoded.lengths)


class Reference:
    """A bench on which the student was the reference model."""

    def __init__(self, found):
        self.student = Sets(found, "_ref")

    def model(self, role):
        return self.student

    def recall(self, model, rows, ask="logits"):
        def looked_up(batch):
            answer = getattr(model, ask)(batch.inputs)
            return (answer.values if isinstance(answer, Ragged) else answer).detach()

        return looked_up


def case(name):
    with np.load(VECTORS / f"{name}.npz") as file:
        found = {key: file[key] for key in file}
    return found, dict(zip(PARAMS, found["params"].tolist(), strict=True))


def term(found, method, **fields):
    """The method's term over the forget set and the model whose logits it is of."""
    student, made = Sets(found), find("methods", method)(**fields)
    rows = SimpleNamespace(targets=None)
    away = made.objective(Reference(found), rows)
    return away(student, Batch(torch.arange(2), "forget", None), None), student


def assert_same(terms, student, found, name, **gradients):
    loss = total(weighed(terms))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(found[f"{name}_loss"]), rel=1e-10, abs=1e-12)
    for logits, stored in gradients.items():
        np.testing.assert_allclose(
            student.logits[logits].grad.numpy(), found[stored], rtol=1e-9, atol=1e-13
        )


def retained(student):
    return own_loss(student, Batch(torch.arange(2), "retain", None))


@both
def test_gradient_ascent(name):
    found, _ = case(name)
    away, student = term(found, "grad_ascent")
    assert_same({"f": away}, student, found, "ga", forget="ga_grad_forget")


@both
def test_gradient_difference(name):
    found, given = case(name)
    away, student = term(found, "grad_diff")
    terms = {"f": (given["gamma"], away), "r": (given["alpha"], retained(student))}
    assert_same(terms, student, found, "graddiff", forget="graddiff_grad_forget",
                retain="graddiff_grad_retain")  # fmt: skip


@both
def test_kl_to_the_reference_over_all_positions(name):
    found, given = case(name)
    away, student = term(found, "kl_min")
    before = torch.from_numpy(found["retain_ref_logits"])
    apart = kl_from_logits(before.flatten(0, 1), student.logits["retain"].flatten(0, 1))
    terms = {"f": (given["gamma"], away), "r": (given["alpha"], apart)}
    assert_same(terms, student, found, "klmin", forget="klmin_grad_forget",
                retain="klmin_grad_retain")  # fmt: skip


@both
def test_negative_preference(name):
    found, given = case(name)
    away, student = term(found, "npo", beta=given["beta"])
    terms = {"f": (given["gamma"], away), "r": (given["alpha"], retained(student))}
    assert_same(terms, student, found, "npo", forget="npo_grad_forget")
    answered = student.logprob("forget")
    np.testing.assert_allclose(
        -summed(*answered).detach().numpy(), found["forget_seq_nll"], rtol=1e-12
    )


@both
def test_preference_of_another_answer(name):
    found, given = case(name)
    student, reference = Sets(found), Sets(found, "_ref")
    apart = {
        which: summed(*reference.logprob(which)).detach() - summed(*student.logprob(which))
        for which in ("forget", "alt")
    }
    away = preferred(apart["forget"], apart["alt"], given["beta"]).mean()
    terms = {"f": (given["gamma"], away), "r": (given["alpha"], retained(student))}
    assert_same(terms, student, found, "dpo", forget="dpo_grad_forget", alt="dpo_grad_alt")


@both
def test_preference_without_a_reference(name):
    found, given = case(name)
    student = Sets(found)
    counted = torch.from_numpy((found["forget_labels"] != -100).sum(axis=1))  # before the shift
    each = -summed(*student.logprob("forget")) / counted
    away = preferred(each, given["delta"], given["simnpo_beta"]).mean()
    terms = {"f": (given["gamma"], away), "r": (given["alpha"], retained(student))}
    assert_same(terms, student, found, "simnpo", forget="simnpo_grad_forget")


@both
def test_weighted_ascent(name):
    found, given = case(name)
    away, student = term(found, "wga", beta=given["wga_beta"])
    assert_same({"f": (given["gamma"], away)}, student, found, "wga", forget="wga_grad_forget")
    away, student = term(found, "satimp", beta1=given["beta1"], beta2=given["beta2"])
    assert_same({"f": (given["gamma"], away)}, student, found, "satimp",
                forget="satimp_grad_forget")  # fmt: skip


@both
def test_self_distillation(name):
    found, given = case(name)
    away, student = term(found, "undial", beta=given["undial_beta"])
    assert_same({"f": away}, student, found, "undial_masked")
    if name == "losses_all_labelled":
        stored = found["undial_code_grad_forget"]
        grad = student.logits["forget"].grad.numpy()
        np.testing.assert_allclose(grad, stored, rtol=1e-9, atol=1e-13)


@both
def test_cross_entropy_without_the_true_token(name):
    found, given = case(name)
    unseen = int((found["forget_labels"][:, 0] != -100).all())  # a first label uses up a skip
    away, student = term(found, "ce_u", skipped=int(given["skipped"]) - unseen)
    assert_same({"f": away}, student, found, "ceu", forget="ceu_grad_forget")
