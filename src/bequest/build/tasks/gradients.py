"""Images of one task as histograms of their gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.sequence import Derived, images_only, variant
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.build.classification import Classification


class Gradients(Derived):
    """The images of one task as histograms of oriented gradients (Dalal and Triggs 2005).

    Another representation of the same things: other numbers, another dimension, no pixel in it.
    """

    kind: ClassVar[str] = "features"

    cell: int = Field(4, ge=1, le=1024, description="Side in pixels of what gets one histogram.")
    bins: int = Field(9, ge=2, le=360, description="Directions of the whole circle told apart.")

    def load(self, name: str) -> Classification:
        """Features [cells · bins], labels as they are.

        Raises:
            RequestError: the other task can't be loaded, has no images, or ones below a cell.
        """
        from bequest.build.variants import changed, gradient_histograms

        task = self.original(name)
        images_only("gradients", task)
        if min(task.shape[1:]) < max(self.cell, 2):
            what = f"images of {task.shape[1]} × {task.shape[2]} pixels hold no cell of {self.cell}"
            raise RequestError(Problem(what, "make it smaller", ("cell",)))
        key = f"gradients {self.cell} {self.bins}"
        splits = {
            side: changed(
                split,
                lambda images, ids: gradient_histograms(images, self.cell, self.bins),
                key,
            )
            for side, split in task.splits.items()
        }
        found = variant(task, name, splits, {"gradients": [self.cell, self.bins]})
        return replace(found, kind="features", shape=splits["train"].inputs.shape[1:])
