"""Metrics of sequences of tasks against the values of the public repositories' own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bequest.measure import continual, curves

VECTORS = Path(__file__).parent / "cl_metrics"
CASES = sorted(path.stem for path in VECTORS.glob("*.npz"))
EXACT, PERCENT, FLOAT32 = 1e-9, 1e-11, 1e-7  # percent are compared as shares

OF_SCORES = {
    "gem_final_acc": (continual.average_accuracy, EXACT),
    "gem_code_bwt": (continual.gem_code_bwt, EXACT),
    "gem_paper_bwt": (continual.bwt, EXACT),
    "chaudhry_F_per_stage": (continual.forgetting_by_stage, EXACT),
    "chaudhry_worst_per_stage": (continual.worst_forgetting_by_stage, EXACT),
    "chaudhry_F": (continual.forgetting, EXACT),
    "mammoth_forgetting": (continual.mammoth_forgetting, EXACT),
    "libero_nbt": (curves.libero_code_nbt, EXACT),
    "mtil_transfer_per_task": (continual.mtil_transfer_by_task, PERCENT),
    "mtil_avg_per_task": (continual.mtil_avg_by_task, PERCENT),
    "mtil_last_per_task": (lambda scores: scores[-1], PERCENT),
    "mtil_transfer": (continual.mtil_transfer, PERCENT),
    "mtil_avg": (continual.mtil_avg, PERCENT),
    "mtil_last": (continual.mtil_last, PERCENT),
}
OF_MORE = {
    "gem_code_fwt": (lambda of: continual.gem_code_fwt(of["R"], of["b"]), FLOAT32),
    "gem_paper_fwt": (lambda of: continual.fwt(of["R"], of["b"]), FLOAT32),
    "libero_fwt": (lambda of: curves.libero_fwt(of["libero_curves"]), EXACT),
    "libero_auc": (lambda of: curves.libero_auc(of["R"], of["libero_curves"]), EXACT),
    "lca_code": (lambda of: prefixes(of["lca_z"], of["lca_idx"]), EXACT),
}


def prefixes(z, at):
    return [curves.agem_code_lca(z[: n + 1], at[: n + 1]) for n in range(len(z))]


def vectors(case):
    with np.load(VECTORS / f"{case}.npz") as file:
        return dict(file)


def assert_same(found, expected, tolerance):
    scale = 100 if tolerance == PERCENT else 1
    np.testing.assert_allclose(found, expected / scale, rtol=0, atol=tolerance)


def test_there_are_vectors_and_all_of_them_are_used():
    assert CASES
    inputs = {"R", "b", "libero_curves", "lca_z", "lca_idx"}
    for case in CASES:
        assert set(vectors(case)) == inputs | set(OF_SCORES) | set(OF_MORE)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", OF_SCORES)
def test_metrics_of_the_scores(case, name):
    of = vectors(case)
    metric, tolerance = OF_SCORES[name]
    assert_same(metric(of["R"]), of[name], tolerance)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", OF_MORE)
def test_metrics_that_read_more_than_the_scores(case, name):
    of = vectors(case)
    metric, tolerance = OF_MORE[name]
    assert_same(metric(of), of[name], tolerance)
