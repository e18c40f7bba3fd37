"""A moment worth measuring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.core.live import Model
    from bequest.core.pack import Pack


@dataclass(frozen=True)
class Stage:
    """A model as it is at one moment of a transfer; typed, never parsed from its name.

    name: for people; metrics never depend on it.
    model: scored before the method's generator goes on.
    of: the role this model is a state of.
    learned: the task just learned, row i of R[i, j]; None when the stage learned none.
    line: "main", or the reference line this row belongs to ("alone", "joint", "gold" …).
    at: coordinates of the stage, such as a preference, a scale or who answers a query.
    on: names of the tasks to score; None scores all that the model can answer.
    deliver: packs to keep beside the model, by name.
    """

    name: str
    model: Model
    of: str = "student"
    learned: str | None = None
    line: str = "main"
    at: Mapping[str, float | str] = field(default_factory=dict)
    on: Sequence[str] | None = None
    deliver: Mapping[str, Pack] = field(default_factory=dict)
