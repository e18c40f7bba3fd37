"""Wines by chemical measurements, a table that comes with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.build.settings import FeatureSettings

if TYPE_CHECKING:
    from bequest.build.classification import Classification


class Wine(FeatureSettings):
    """178 wines of three growers by 13 chemical measurements (Aeberhard, Forina; scikit-learn)."""

    def load(self, name: str) -> Classification:
        """13 measurements [13], labels "class_0" to "class_2"."""
        from sklearn.datasets import load_wine

        from bequest.build.bundled import bundled_table

        return bundled_table(self, name, load_wine())
