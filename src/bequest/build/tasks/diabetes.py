"""How diabetes went on, a table with numbers to be predicted that comes with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bequest.build.settings import OF_NUMBERS, FeatureSettings

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.build.regression import Regression


class Diabetes(FeatureSettings):
    """442 patients by 10 measurements, and how ill they became (Efron et al. 2004; scikit-learn).

    The target is a score of the progression after a year, between 25 and 346.
    """

    asks: ClassVar[str] = "predict"
    records: ClassVar[Collection[str]] = OF_NUMBERS

    def load(self, name: str) -> Regression:
        """10 measurements [10], and the score `progression`."""
        import numpy as np
        from sklearn.datasets import load_diabetes

        from bequest.build.assemble import standardized
        from bequest.build.regression import regression
        from bequest.build.splitting import Pool, array_ids

        features, values = load_diabetes(return_X_y=True, scaled=False)
        features = np.ascontiguousarray(features, dtype=np.float64)
        count = len(values)
        pool = Pool(array_ids(features), np.zeros(count, np.int64), np.zeros(count, np.int8))
        return regression(
            self,
            name,
            "progression",
            pool,
            values.astype(np.float64),
            lambda sides: standardized(features, sides, self.standardize),
        )
