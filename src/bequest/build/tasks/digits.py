"""Handwritten digits that come with scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bequest.build.settings import SplitSettings

if TYPE_CHECKING:
    from bequest.build.classification import Classification


class Digits(SplitSettings):
    """1,797 handwritten digits of 8 × 8 pixels (Alpaydin and Kaynak 1998; scikit-learn)."""

    kind: ClassVar[str] = "image"

    def load(self, name: str) -> Classification:
        """Grey images [1, 8, 8] in [0, 1], labels "0" to "9"."""
        import numpy as np
        from sklearn.datasets import load_digits

        from bequest.build.assemble import assemble
        from bequest.build.splitting import Pool, array_ids

        data = load_digits()
        images = (data.images[:, None] / 16).astype(np.float32)  # [n, 1, 8, 8]
        targets = data.target.astype(np.int64)
        pool = Pool(array_ids(images), targets, np.zeros(len(targets), np.int8))
        labels = tuple(str(digit) for digit in range(10))
        return assemble(
            self,
            name,
            self.kind,
            labels,
            pool,
            lambda sides: ({side: images[rows] for side, rows in sides.items()}, {"scale": 16}),
        )
