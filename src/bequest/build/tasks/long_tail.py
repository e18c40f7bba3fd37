"""One task with few training samples of most classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from bequest.build.sequence import Derived, variant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bequest.build.classification import Classification
    from bequest.core.live import Split


class LongTail(Derived):
    """One task whose classes get rarer along the labels, in training only (Cui et al. 2019).

    From the first class to the last, the number of samples falls exponentially.
    """

    ratio: float = Field(
        10.0, ge=1, le=1e6, description="How many times more samples the first class has."
    )

    def load(self, name: str) -> Classification:
        """The task with a thinned training side; every class that was there keeps a sample.

        Raises:
            RequestError: the other task can't be loaded.
        """
        from bequest.build.variants import picked

        task = self.original(name)
        train = picked(task.splits["train"], self._kept(task.splits["train"], len(task.labels)))
        return variant(task, name, {**task.splits, "train": train}, {"long tail": self.ratio})

    def _kept(self, split: Split, labels: int) -> NDArray[np.int64]:
        import numpy as np

        targets = np.asarray(split.targets)
        counts = np.bincount(targets, minlength=labels)
        wanted = counts.max() * self.ratio ** (-np.arange(labels) / (labels - 1))
        most = np.maximum(1, np.round(wanted)).astype(np.int64)
        # Content ids are hashes, so the lowest of a class are a random choice from it.
        lowest = np.argsort(split.ids, kind="stable")
        kept = [lowest[targets[lowest] == label][: most[label]] for label in range(labels)]
        return np.sort(np.concatenate(kept))
