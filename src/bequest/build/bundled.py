"""Tables that come with scikit-learn, as tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.assemble import assemble, standardized
from bequest.build.classification import label_space
from bequest.build.splitting import Pool, array_ids

if TYPE_CHECKING:
    from bequest.build.classification import Classification
    from bequest.build.settings import FeatureSettings


def bundled_table(settings: FeatureSettings, name: str, table: Any) -> Classification:
    """A task of a data set of scikit-learn with numeric features and named targets."""
    features = np.ascontiguousarray(table.data, dtype=np.float64)
    names = [str(label) for label in table.target_names]
    labels = label_space(names)
    targets = np.array([labels.index(label) for label in names])[table.target]
    pool = Pool(array_ids(features), targets, np.zeros(len(targets), np.int8))
    return assemble(
        settings,
        name,
        "features",
        labels,
        pool,
        lambda sides: standardized(features, sides, settings.standardize),
    )
