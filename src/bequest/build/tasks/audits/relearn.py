"""Whether what was forgotten comes back when a little of it is learned again."""

from __future__ import annotations

import importlib
from collections.abc import Collection  # noqa: TC003 — pydantic reads them
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from bequest.build.auditing import Audit
from bequest.build.of_another import OfAnother
from bequest.core.errors import Problem

if TYPE_CHECKING:
    from bequest.core.live import Task

LEARNED = ("logits", "logprob")  # what a task must ask to be learned again


class Relearn(Audit, OfAnother):
    """Does it come back? A copy learns a part of what was forgotten, and is asked about the rest.

    Every stage is treated alike: the same samples in the same order, the same optimiser. What a
    model that never knew (line `gold`) gains by it is no leak; what another gains beyond that is.
    """

    asks: ClassVar[str] = ""  # what the other task asks
    source: ClassVar[str] = (
        "Hu et al. 2024, Jogging the Memory of Unlearned LLMs via Benign Relearning, arXiv "
        "2406.13356; split and curve as defined here"
    )
    works_in: ClassVar[tuple[str, ...]] = ("bequest.transfer.relearning",)
    records: ClassVar[Collection[str]] = frozenset({"relearned", "relearn_area"})

    of: dict[str, Any] = Field(
        description="The task that was forgotten: `use:` and its settings; its purpose is not read."
    )
    steps: tuple[Annotated[int, Field(ge=0, le=100_000)], ...] = Field(
        (0, 1, 2, 5, 10, 20),
        min_length=1,
        description="After how many optimiser steps the rest is asked for; 0 is before the first.",
    )
    share: float = Field(
        0.5, gt=0, lt=1, description="Share of its training samples that are learned again."
    )
    lr: float = Field(1e-3, gt=0, description="Learning rate of AdamW.")
    batch_size: int = Field(8, ge=1, description="Samples per step.")
    clip_norm: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    split_seed: int = Field(0, ge=0, lt=2**31, description="Another seed learns another part.")

    def check(self) -> list[Problem]:
        """Steps that rise, and what keeps the other task from being learned again."""
        problems = super().check()
        if any(one >= other for one, other in pairwise(self.steps)) or self.steps[-1] < 1:
            fix = "write them as in [0, 1, 2, 5]"
            problems.append(Problem("must rise, and end above 0", fix, ("steps",)))
        spec = self.base()
        if spec.asks and spec.asks not in LEARNED:
            what = f"`{self.of['use']}` asks `{spec.asks}`, so nothing is learned from it"
            fix = "only tasks that ask `logits` or `logprob` can be learned again"
            problems.append(Problem(what, fix, ("of", "use")))
        return problems

    def load(self, name: str) -> Task:
        """The other task, of which a part is learned and the rest is asked for.

        Raises:
            RequestError: it can't be loaded, or has too few samples.
        """
        task = self.other(name)
        # by name: it trains, so it lies in a room that is built upon this one
        relearning = importlib.import_module("bequest.transfer.relearning").relearning
        found: Task = relearning(self, name, task)
        return found
