"""Gradient difference: ascent on what is to be forgotten, descent on what is to be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bequest.methods.unlearn._unlearning import Retaining
from bequest.methods.unlearn.grad_ascent import ascent

if TYPE_CHECKING:
    from bequest.methods.unlearn._unlearning import Objective
    from bequest.transfer.bench import Bench
    from bequest.transfer.streams import Rows


class GradDiff(Retaining):
    """Train the student away from what it is to forget while it learns the rest again."""

    source: ClassVar[str] = (
        "Liu, Liu & Stone 2022, Continual Learning and Private Unlearning, arXiv 2203.12817; "
        "as in Maini et al. 2024, TOFU, arXiv 2401.06121"
    )

    def objective(self, bench: Bench, forget: Rows) -> Objective:
        """Minus the mean NLL of all tokens of the batch."""
        return ascent
