"""Factors of a weight delta in few bits, against the values of the authors' own GPTQ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bequest.ops.factors import Group, quantised
from bequest.ops.gptq import Rounding, SecondMoments

CASES = sorted((Path(__file__).parent / "graftllm").glob("*.npz"))
cases = pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)


def loaded(path):
    with np.load(path) as file:
        return dict(file)


def moments(case):
    found = SecondMoments(case["X"].shape[-1])
    for sequence in case["X"].astype(np.float64):
        found.add(sequence.T @ sequence, 1)
    return found.mean


def compressed(case):
    how = Rounding(int(case["groupsize"]), bool(case["actorder"]), float(case["percdamp"]))
    groups = [Group(int(b), int(c)) for b, c in zip(case["bits"], case["cols"], strict=True)]
    factors = case["U"], case["S"], case["V"]
    return quantised(factors, groups, moments(case), how)


def test_there_are_cases():
    assert len(CASES) == 2


@cases
def test_factors_of_every_group(path):
    case = loaded(path)
    for number, part in enumerate(compressed(case)):
        if f"g{number}_Vq" not in case:
            continue
        least = 1.0 if path.stem == "gptq_4bit_plain" else 0.98
        for name, found in (("Vq", part.right()), ("Uq", part.left())):
            near = np.abs(found - case[f"g{number}_{name}"]) <= 1e-4
            assert near.mean() >= least, name


@cases
def test_grids_and_losses(path):
    case = loaded(path)
    for number, part in enumerate(compressed(case)):
        if f"g{number}_errV" not in case:
            continue
        for name, own in (("V", part.v), ("U", part.u)):
            assert own.loss.sum() == pytest.approx(float(case[f"g{number}_err{name}"]), rel=1e-3)
        np.testing.assert_allclose(part.v.scales, case[f"g{number}_scaleV"], rtol=1e-3)
        np.testing.assert_allclose(part.v.zeros, case[f"g{number}_zeroV"], rtol=1e-3)


@cases
def test_second_moments(path):
    case = loaded(path)
    if "g0_HV" in case:
        np.testing.assert_allclose(moments(case), case["g0_HV"], rtol=1e-3, atol=1e-5)


@cases
def test_the_whole_weight(path):
    case = loaded(path)
    change = sum((part.left() * part.sigma) @ part.right().T for part in compressed(case))
    delta = case["W_ft"] - case["W_base"]
    wrong = case["W_base"] + change - case["W_hat"]
    assert np.linalg.norm(wrong) <= 0.02 * np.linalg.norm(delta)
    rows = case["X"].reshape(-1, delta.shape[1])
    error = np.linalg.norm((change - delta) @ rows.T) / np.linalg.norm(delta @ rows.T)
    assert error == pytest.approx(float(case["rel_out_err"]), rel=0.02)
