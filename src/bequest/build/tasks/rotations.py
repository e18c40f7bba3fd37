"""One image task at several angles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from bequest.build.sequence import Changed, images_only, twice

if TYPE_CHECKING:
    from bequest.build.classification import Classification
    from bequest.build.variants import Change
    from bequest.core.errors import Problem

Angle = Annotated[float, Field(ge=-360, le=360)]


class Rotations(Changed):
    """The images of one task turned by an angle, a task for each angle."""

    kind: ClassVar[str] = "image"

    angles: tuple[Angle, ...] = Field(
        min_length=1, max_length=1000, description="Degrees, anticlockwise; 0 leaves images alone."
    )

    def check(self) -> list[Problem]:
        """The task that is turned, and angles that are there twice."""
        return [*super().check(), *twice("angles", self.angles)]

    def count(self) -> int:
        """One for each angle."""
        return len(self.angles)

    def about(self, number: int) -> dict[str, Any]:
        """The angle."""
        return {"rotated": self.angles[number]}

    def change(self, task: Classification, number: int) -> Change:
        """Turn by the angle of that number."""
        from bequest.build.variants import rotated

        images_only("rotations", task)
        angle = self.angles[number]
        return lambda images, ids: rotated(images, angle) if angle else images
