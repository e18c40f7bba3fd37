"""One task of which few samples have labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bequest.build.sequence import Derived, variant
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Purpose  # noqa: TC001 — pydantic reads it

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bequest.build.classification import Classification
    from bequest.core.live import Split, SplitName


class FewLabels(Derived):
    """One task with a few labels per class; all other samples are given without.

    Measured on these very samples (transductive), as in the field, or on unseen ones. Their labels
    stand on the test side alone, which no method sees.
    """

    purpose: Purpose = Field("target", description="What the transfer is to do with this task.")
    labelled: int = Field(3, ge=1, description="Samples of each class that keep their label.")
    draw: int = Field(0, ge=0, lt=2**31, description="Another number labels other samples.")
    tested: Literal["unlabelled", "unseen"] = Field(
        "unlabelled",
        description="Measure on the samples given without labels, all that there are; or on the "
        "test side of the task, which is then not given at all.",
    )

    def load(self, name: str) -> Classification:
        """The task with the sides train, unlabelled and test.

        Raises:
            RequestError: the other task can't be loaded, or no sample is left without a label.
        """
        from dataclasses import replace

        from bequest.build.variants import joined, picked

        task = self.original(name)
        if "unlabelled" in task.splits:
            what = f"`{self.of['use']}` has samples without labels already"
            raise RequestError(Problem(what, "give it as the target itself", ("of",)))
        unseen = self.tested == "unseen"
        given = [split for side, split in task.splits.items() if side != "test" or not unseen]
        whole = joined(given)
        kept = self._kept(whole, len(task.labels))
        if kept.all():
            what = f"{self.labelled} labels a class leave no sample without one"
            raise RequestError(Problem(what, "take fewer", ("labelled",)))
        rest = picked(whole, (~kept).nonzero()[0])
        splits: dict[SplitName, Split] = {
            "train": picked(whole, kept.nonzero()[0]),
            "unlabelled": replace(rest, targets=None),
            "test": task.splits["test"] if unseen else rest,
        }
        about = {"few labels": [self.labelled, self.draw, self.tested]}
        return variant(task, name, splits, about)

    def _kept(self, whole: Split, labels: int) -> NDArray[np.bool_]:
        """Which samples keep their label: a random choice from each class, by content."""
        import numpy as np

        from bequest.build.splitting import draw_keys

        targets = np.asarray(whole.targets)
        order = np.argsort(draw_keys(whole.ids, self.draw), kind="stable")
        chosen: Sequence[NDArray[np.int64]] = [
            order[targets[order] == label][: self.labelled] for label in range(labels)
        ]
        return np.isin(np.arange(len(whole)), np.concatenate(chosen))
