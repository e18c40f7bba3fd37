"""Reliability diagrams: how often a stage is right when it is so sure.

Bins are those of `calibration_error` (Guo et al. 2017), all seeds together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bequest.measure.metrics import BINS
from bequest.report.page.draw import Frame, line, svg
from bequest.report.page.html import Html, join, numbers_below, table, tag
from bequest.report.page.numbers import number
from bequest.report.page.rows import ends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.measure.matrix import Matrix

_MOST = 12  # diagrams; the table has all


@dataclass(frozen=True)
class Bin:
    """Samples of one range of confidence: how sure and how right they are on average."""

    confidence: float
    accuracy: float
    count: int


def calibration(matrix: Matrix) -> Html | None:
    """A diagram of every task at the end of every line; None where none says how sure it is."""
    found = [
        (matrix.rows[row].title, heading, own)
        for row in ends(matrix.rows)
        for task, heading in matrix.shown.items()
        if (own := bins(matrix, row, task))
    ]
    if not found:
        return None
    left = f" The first {_MOST} of {len(found)}; the table has all." if len(found) > _MOST else ""
    return join([
        tag("p", "On the diagonal a stage is as often right as it is sure; below it, it is too "
            f"sure of itself. Larger dots hold more answers, thin lines are the gaps.{left}",
            class_="soft"),
        tag("details", tag("summary", f"Diagrams by stage and task: {len(found[:_MOST])}"),
            tag("div", *(_diagram(*one) for one in found[:_MOST]), class_="grid")),
        numbers_below("Numbers of the diagrams", _numbers(found)),
    ])  # fmt: skip


def bins(matrix: Matrix, row: int, task: str) -> list[Bin]:
    """The bins that hold any answer; none where the task doesn't record confidence as numbers."""
    cells = matrix.cells
    outcomes = [cells.outcomes[row, task, seed].columns for seed in cells.seeds_of(row, task)]
    if not outcomes or any(not {"confidence", "correct"} <= set(one) for one in outcomes):
        return []
    sure = np.concatenate([one["confidence"] for one in outcomes]).astype(np.float64)
    if not np.isfinite(sure).all():
        return []
    right = np.concatenate([one["correct"] for one in outcomes]).astype(np.float64)
    place = np.clip(np.ceil(sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return [
        Bin(float(sure[own].mean()), float(right[own].mean()), int(own.sum()))
        for index in range(BINS)
        if (own := place == index).any()
    ]


def _diagram(stage: str, task: str, own: Sequence[Bin]) -> Html:
    frame = Frame.around((0.0, 1.0), (0.0, 1.0), size=(300.0, 240.0))
    most = max(one.count for one in own)
    points = [(frame.x(one.confidence), frame.y(one.accuracy)) for one in own]
    dots = [
        tag("circle", cx=x, cy=y, r=round(2.5 + 5 * (one.count / most) ** 0.5, 1), class_="dot c0")
        for (x, y), one in zip(points, own, strict=True)
    ]
    gaps = [line(frame.x(one.confidence), frame.y(one.confidence), frame.x(one.confidence),
                 frame.y(one.accuracy), "gap c0") for one in own]  # fmt: skip
    told = "; ".join(f"{one.confidence:.2f} sure, {one.accuracy:.2f} right" for one in own)
    picture = svg(
        frame.width, frame.height, f"Calibration of {stage} on {task}: {told}",
        *frame.axes("how sure"),
        line(frame.x(0), frame.y(0), frame.x(1), frame.y(1), "diagonal"),
        *gaps, *dots,
    )  # fmt: skip
    return tag("figure", tag("figcaption", tag("b", stage), f" on {task}, share that is right"),
               picture)  # fmt: skip


def _numbers(found: Sequence[tuple[str, str, Sequence[Bin]]]) -> Html:
    head = ("stage", "task", "how sure", "how often right", "answers")
    return table(
        head,
        (
            [stage, task, number(one.confidence), number(one.accuracy), f"{one.count:,}"]
            for stage, task, own in found
            for one in own
        ),
    )
