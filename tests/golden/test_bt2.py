"""BT2 and retrieval metrics against the official code's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bequest.ops.retrieval import judged, of_equal_labels, places, relevance, worth

HERE = Path(__file__).parent / "bt2"


@pytest.fixture(scope="module")
def retrieval():
    return np.load(HERE / "retrieval_self.npz")


def test_scores_of_a_list_that_is_searched_for_itself(retrieval):
    own = np.arange(len(retrieval["query"]))
    belongs = of_equal_labels(retrieval["query_ids"], retrieval["gallery_ids"], own)
    found = judged(retrieval["query"], retrieval["gallery"], belongs)
    for name, values in (
        ("cmc_top1", found["first_rank"] <= 1),
        ("cmc_top5", found["first_rank"] <= 5),
        ("mAP", found["average_precision"]),
    ):
        assert abs(values.mean() - retrieval[name]) < 1e-12


def test_the_whole_ranking_is_that_of_the_distances(retrieval):
    distances = retrieval["distmat"]
    for row in distances:
        found = places(1 - row, np.argsort(row, kind="stable"))
        assert found.tolist() == list(range(1, len(row) + 1))
