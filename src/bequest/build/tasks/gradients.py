"""Images of one task as histograms of their gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.build.sequence import Derived, images_only, variant
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.build.classification import Classification
    from bequest.build.variants import Change


class Gradients(Derived):
    """The images of one task as histograms of oriented gradients (Dalal and Triggs 2005).

    Another representation of the same things: other numbers, another dimension, no pixel in it.
    Features get mean 0 and deviation 1, as found in training.
    """

    kind: ClassVar[str] = "features"

    cell: int = Field(4, ge=1, le=1024, description="Side in pixels of what gets one histogram.")
    bins: int = Field(9, ge=2, le=360, description="Directions of the whole circle told apart.")

    def load(self, name: str) -> Classification:
        """Features [cells · bins], labels as they are.

        Raises:
            RequestError: the other task can't be loaded, has no images, or ones below a cell.
        """
        from bequest.build.variants import changed

        task = self.original(name)
        images_only("gradients", task)
        if min(task.shape[1:]) < max(self.cell, 2):
            what = f"images of {task.shape[1]} × {task.shape[2]} pixels hold no cell of {self.cell}"
            raise RequestError(Problem(what, "make it smaller", ("cell",)))
        about = {"gradients": [self.cell, self.bins]}
        change = self._change(task)
        splits = {side: changed(one, change, str(about)) for side, one in task.splits.items()}
        found = variant(task, name, splits, about)
        return replace(found, kind="features", shape=splits["train"].inputs.shape[1:])

    def _change(self, task: Classification) -> Change:
        """From images to features with mean 0 and deviation 1, as found in training."""
        from bequest.build.variants import floats, gradient_histograms

        def histograms(images: Any) -> Any:
            return gradient_histograms(images, self.cell, self.bins)

        train = histograms(floats(task.splits["train"].inputs[:]))
        mean, std = train.mean(axis=0), train.std(axis=0)
        std[std == 0] = 1  # a constant feature becomes 0
        return lambda images, ids: (histograms(images) - mean) / std
