"""Gradient projection memory (Saha, Garg & Roy 2021): new tasks leave old inputs' outputs alone.

After each task, every layer keeps the directions that hold most of its inputs' energy; gradients of
later tasks are projected off them. With CUBER's choice of directions (old and new in one pool).
"""

from __future__ import annotations

from typing import ClassVar

from bequest.methods.continual._projection import Projection


class Gpm(Projection):
    """Learn task after task with gradients projected off what old tasks use."""

    source: ClassVar[str] = "Saha, Garg & Roy 2021, arXiv 2103.09762, algorithm 1"
