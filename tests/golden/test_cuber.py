"""Subspaces, regimes, scaled weights and one update against the vectors of TRGP and CUBER."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bequest.lazy import functional, torch
from bequest.methods.continual.cuber import penalty
from bequest.ops.regimes import candidates, cosine, projection_norms, regime, scaled
from bequest.ops.subspaces import first_bases, next_bases, off, projected, union

VECTORS = Path(__file__).parent / "cuber"
TASKS = LAYERS = range(3)


def case(name):
    with np.load(VECTORS / f"{name}.npz") as file:
        return {key: torch.from_numpy(np.asarray(file[key])) for key in file}


@pytest.fixture(scope="module")
def trgp():
    return case("trgp_case_a")


@pytest.fixture(scope="module")
def step():
    return case("cuber_step_a")


def bases(found, layer, **options):
    """Own bases of all tasks, and what is accumulated after each."""
    threshold = float(found["thr"][layer])
    first = first_bases(found[f"act_t0_l{layer}"], threshold, **options)
    own, accumulated = [first.own], [first.new]
    for task in TASKS[1:]:
        there = accumulated[-1]
        more = next_bases(found[f"act_t{task}_l{layer}"], there, threshold, **options)
        own.append(more.own)
        accumulated.append(torch.cat([there, more.new], dim=1))
    return own, accumulated


def assert_spans(basis, projector):
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-8)
    np.testing.assert_allclose(basis @ basis.T, projector, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("as_released", [False, True])
def test_subspaces_of_every_task(trgp, layer, as_released):
    own, accumulated = bases(trgp, layer, as_released=as_released)
    fixed = "" if as_released else "fixed_"
    for task in TASKS:
        assert_spans(own[task], trgp[f"P_task_{fixed}t{task}_l{layer}"])
        assert_spans(accumulated[task], trgp[f"P_all_{fixed}t{task}_l{layer}"])


@pytest.mark.parametrize("layer", LAYERS)
def test_ranks_as_released(trgp, layer):
    own, accumulated = bases(trgp, layer, as_released=True)
    for task in TASKS:
        assert own[task].shape[1] == trgp[f"rank_task_t{task}_l{layer}"]
        assert accumulated[task].shape[1] == trgp[f"rank_all_t{task}_l{layer}"]


def gradients(found):
    weights = [found[f"W_l{layer}"].clone().requires_grad_() for layer in LAYERS]
    hidden = found["x_new"]
    for weight in weights[:-1]:
        hidden = functional.relu(hidden @ weight.T)
    functional.cross_entropy(hidden @ weights[-1].T, found["y_new"]).backward()
    return [weight.grad for weight in weights]


@pytest.mark.parametrize("layer", LAYERS)
def test_regimes_and_candidates(trgp, layer):
    gradient = gradients(trgp)[layer]
    np.testing.assert_allclose(gradient, trgp[f"grad_l{layer}"], rtol=1e-8, atol=1e-12)
    own, _ = bases(trgp, layer, as_released=True)
    norms = projection_norms(gradient, own)
    np.testing.assert_allclose(norms, trgp[f"projnorm_l{layer}"], rtol=1e-8)
    found = [regime(gradient, float(norm), float(trgp["eps1"])) for norm in norms]
    assert found == trgp[f"regime_l{layer}"].tolist()
    assert candidates(norms, 2) == trgp[f"selected_l{layer}"].tolist()


def test_scaled_weight_projection(trgp):
    weight, one, two = (trgp[name].clone().requires_grad_() for name in ("W_l0", "Q1", "Q2"))
    inputs, first, second = trgp["x_new"], (trgp["B1"], one), (trgp["B2"], two)
    alone = inputs @ scaled(weight, [first]).T
    both = inputs @ scaled(weight, [first, second]).T
    np.testing.assert_allclose(alone.detach(), trgp["scaled_out_one"], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(both.detach(), trgp["scaled_out_two"], rtol=1e-8, atol=1e-10)
    both.square().sum().backward()
    np.testing.assert_allclose(weight.grad, trgp["scaled_gradW"], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(one.grad, trgp["scaled_gradQ1"], rtol=1e-8, atol=1e-8)


def test_correlation_and_projection(step):
    own = [step[f"B{task}"] for task in TASKS]
    norms = projection_norms(step["G"], own) / step["G"].norm()
    np.testing.assert_allclose(norms, step["proj_ratio"], rtol=1e-9)
    found = [cosine(step[f"Gold{task}"], step["G"]) for task in TASKS]
    np.testing.assert_allclose(found, step["cos"], rtol=1e-9)


def test_one_update(step):
    weight, regimes = step["W"].clone().requires_grad_(), step["regimes"].tolist()
    own = [step[f"B{task}"] for task in TASKS]
    free = [basis for basis, found in zip(own, regimes, strict=True) if found == 3]
    kept = [basis for basis, found in zip(own, regimes, strict=True) if found != 3]
    term = float(step["lam"]) * penalty(weight, step["W_prev"], free)
    term.backward()
    assert float(term.detach()) == pytest.approx(float(step["penalty"]), rel=1e-9)
    np.testing.assert_allclose(weight.grad, step["penalty_grad"], rtol=1e-9, atol=1e-12)
    total = step["G"] + weight.grad
    np.testing.assert_allclose(off(total, union(kept)), step["update_dir"], rtol=1e-9, atol=1e-12)
    literal = total - sum(projected(total, basis) for basis in kept)
    np.testing.assert_allclose(literal, step["update_dir_literal_sum"], rtol=1e-9, atol=1e-12)
