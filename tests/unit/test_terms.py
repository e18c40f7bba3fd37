"""Terms of a loss: their sum, their shares of the gradient, and their course."""

from __future__ import annotations

import math

import pytest
from workbench import fit, fit_settings, hard, model, split

from bequest.lazy import torch
from bequest.transfer.streams import Rows
from bequest.transfer.terms import Curves, shares, total, weighed


@pytest.fixture
def two():
    """Two parameters, and two terms with gradients (3, 4) · 2 and (0, 1) · 5."""
    a, b = (torch.nn.Parameter(torch.ones(())) for _ in range(2))
    return (a, b), weighed({"both": (2.0, 3 * a + 4 * b), "one": (5.0, b.clone())})


def test_a_bare_term_weighs_one():
    assert weighed({"a": torch.ones(())})["a"][0] == 1.0


def test_the_total_is_the_weighted_sum(two):
    _, pairs = two
    assert float(total(pairs).detach()) == 2 * 7 + 5 * 1


def test_a_weight_may_be_a_tensor_that_learns():
    weight, value = (torch.ones((), requires_grad=True) for _ in range(2))
    total(weighed({"a": (weight * 3, value * 2)})).backward()
    assert (float(weight.grad), float(value.grad)) == (6.0, 6.0)


def test_shares_are_the_norms_of_the_weighted_gradients(two):
    parameters, pairs = two
    found = shares(pairs, parameters)
    assert found == pytest.approx({"both": 10 / 15, "one": 5 / 15})


def test_measuring_shares_leaves_gradients_and_graph_as_they_are(two):
    (a, b), pairs = two
    a.grad = torch.tensor(42.0)
    shares(pairs, (a, b))
    assert float(a.grad) == 42.0
    assert b.grad is None
    total(pairs).backward()
    assert (float(a.grad), float(b.grad)) == (42.0 + 6.0, 8.0 + 5.0)


def test_a_term_without_gradient_has_no_share(two):
    parameters, pairs = two
    with_constant = {**pairs, "constant": (1.0, torch.ones(()))}
    found = shares(with_constant, parameters)
    assert found["constant"] == 0.0
    assert sum(found.values()) == pytest.approx(1.0)


def test_no_gradient_at_all_gives_no_share_rather_than_a_division_by_zero():
    still = weighed({"a": torch.ones(()), "b": torch.ones(())})
    assert shares(still, [torch.nn.Parameter(torch.ones(()))]) == {"a": 0.0, "b": 0.0}


def two_terms(one, batch, rng):
    logits = one.logits(batch.inputs)
    return {**hard(one, batch, rng), "size": (0.1, logits.square().mean())}


def test_the_curves_of_a_fit_match_gradients_taken_by_hand(tmp_path):
    expected = []

    def watched(one, batch, rng):
        terms = two_terms(one, batch, rng)
        parameters = list(one.module.parameters())
        norms = []
        for weight, value in weighed(terms).values():
            found = torch.autograd.grad(weight * value, parameters, retain_graph=True)
            norms.append(math.sqrt(sum(float(each.square().sum()) for each in found)))
        values = [float(value.detach()) for _, value in weighed(terms).values()]
        expected.append((values, [norm / sum(norms) for norm in norms]))
        return terms

    done = fit(tmp_path, model(), Rows(split()), watched).run()
    assert [point["step"] for point in done.curves] == [step for step in range(10) for _ in "ab"]
    assert [point["term"] for point in done.curves] == ["hard", "size"] * 10
    assert [point["weight"] for point in done.curves] == [1.0, 0.1] * 10
    for step, (values, parts) in enumerate(expected):
        points = done.curves[2 * step : 2 * step + 2]
        assert [point["value"] for point in points] == pytest.approx(values, rel=1e-5)
        assert [point["share"] for point in points] == pytest.approx(parts, rel=1e-4)
        assert sum(point["share"] for point in points) == pytest.approx(1.0)


def test_measuring_shares_changes_nothing_of_the_course(tmp_path, monkeypatch):
    measured, plain = model(dropout=0.3), model(dropout=0.3)
    fit(tmp_path / "a", measured, Rows(split()), two_terms).run()
    monkeypatch.setattr(Curves, "wants_shares", lambda self, step: False)
    fit(tmp_path / "b", plain, Rows(split()), two_terms).run()
    for one, other in zip(measured.module.parameters(), plain.module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_long_fit_has_about_a_hundred_points_each_the_mean_of_its_steps(tmp_path):
    seen = []

    def noted(one, batch, rng):
        terms = hard(one, batch, rng)
        seen.append(float(terms["hard"].detach()))
        return terms

    done = fit(tmp_path, model(), Rows(split()), noted, settings=fit_settings(steps=450)).run()
    assert [point["step"] for point in done.curves] == [*range(3, 450, 4), 449]
    assert done.curves[5]["value"] == pytest.approx(sum(seen[20:24]) / 4, rel=1e-5)
    assert done.curves[-1]["value"] == pytest.approx(sum(seen[448:]) / 2, rel=1e-5)


def test_a_single_term_has_the_whole_gradient(tmp_path):
    done = fit(tmp_path, model(), Rows(split())).run()
    assert {point["share"] for point in done.curves} == {1.0}
