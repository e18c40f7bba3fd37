"""Merging and its relatives against the values of mergekit's own functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bequest.ops import deltas

CASES = sorted((Path(__file__).parent / "merging_baselines").glob("*.npz"))
cases = pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)


def loaded(path):
    with np.load(path) as file:
        found = dict(file)
    found["deltas"] = [model - found["base"] for model in found["models"]]
    found["trimmed"] = [
        deltas.trimmed(delta, float(density))
        for delta, density in zip(found["deltas"], found["density"], strict=True)
    ]
    return found


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert found.dtype == np.float32


def test_there_are_cases():
    assert len(CASES) == 2


@cases
def test_linear(path):
    case = loaded(path)
    close(deltas.linear(list(case["models"]), case["weights"]), case["linear_normalised"])


@cases
def test_task_arithmetic(path):
    case = loaded(path)
    merged = deltas.task_arithmetic(case["base"], case["deltas"], case["weights"], case["lam"])
    close(merged, case["task_arithmetic"])


@cases
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ties", {}),
        ("ties_no_normalise", {"normalise": False}),
        ("ties_count_consensus", {"consensus": "count"}),
    ],
)
def test_ties(path, name, options):
    case = loaded(path)
    merged = deltas.ties(case["trimmed"], case["weights"], **options)
    close(case["base"] + np.float32(case["lam"]) * merged, case[name])


@cases
def test_magnitude(path):
    case = loaded(path)
    for number, found in enumerate(case["trimmed"]):
        close(found, case[f"magnitude_{number}"])
    rescaled = deltas.same_sum(case["trimmed"][0], case["deltas"][0])
    close(rescaled, case["magnitude_0_l1_rescaled"])


@cases
@pytest.mark.parametrize(
    ("name", "density"), [("dare_l1_rescaled", None), ("dare_paper_rescaled", 0.5)]
)
def test_dare(path, name, density):
    case = loaded(path)
    for number, mask in enumerate(case["dare_masks"]):
        found = deltas.dropped(case["deltas"][number], mask.astype(bool), density)
        close(found, case[name][number])


@cases
def test_slerp(path):
    case = loaded(path)
    found = deltas.slerp(case["base"], case["models"][0], float(case["t"]))
    close(found, case["slerp"])


@cases
def test_bitdelta(path):
    case = loaded(path)
    scale, plus = deltas.one_bit(case["deltas"][0])
    assert scale == pytest.approx(float(case["bitdelta_scale"]), abs=1e-5)
    close(case["base"] + np.float32(scale) * np.where(plus, 1, -1).astype(np.float32),
          case["bitdelta_weight"])  # fmt: skip
