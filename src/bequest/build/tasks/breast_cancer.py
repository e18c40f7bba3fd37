"""Tumours by measurements of their cells, a table that comes with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.build.settings import FeatureSettings

if TYPE_CHECKING:
    from bequest.build.classification import Classification


class BreastCancer(FeatureSettings):
    """569 tumours by 30 measurements of their cells (Wolberg et al. 1995; scikit-learn)."""

    def load(self, name: str) -> Classification:
        """30 measurements [30], labels "benign" and "malignant"."""
        from sklearn.datasets import load_breast_cancer

        from bequest.build.bundled import bundled_table

        return bundled_table(self, name, load_breast_cancer())
