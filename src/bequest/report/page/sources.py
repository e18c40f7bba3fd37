"""Was a source useful, and why: what each one gave a target, beside both losses that explain it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bequest.measure.rows import GIVEN, MAIN
from bequest.report.page.draw import Frame, domain, line, svg, word
from bequest.report.page.html import Html, join, numbers_below, table, tag
from bequest.report.page.numbers import number, signed, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bequest.measure.intervals import Estimate
    from bequest.measure.matrix import Matrix

_LOSSES = {
    "source_loss": "source loss: low is discriminative",
    "domain_discrepancy": "domain discrepancy: low is transferable",
}
_CLOSE, _LINE = 60.0, 13.0  # points that are nearer would have their names on each other
_NOTE = (
    "Accuracy on {task} beyond that of {alone}, which had no source, beside what is left of both "
    "losses when training ends (means over seeds). A useful source is low in both. The discrepancy "
    "alone says nothing: a source without classes is the easiest to come near."
)


@dataclass(frozen=True)
class Used:
    """A stage that learned a target beside a source.

    gain: in accuracy over the stage that had none; ratio: the same as a share of that one's.
    losses: by the names of `_LOSSES`.
    """

    stage: str
    accuracy: Estimate
    gain: Estimate
    ratio: Estimate
    losses: dict[str, float]


def sources(matrix: Matrix) -> Html | None:
    """A chart for each loss; None where no stage used a source, or all did."""
    charts = [
        _of_task(matrix, task, alone, rows)
        for task in matrix.tasks
        for alone, rows in _compared(matrix, task)
    ]
    return join(charts) if charts else None


def _compared(matrix: Matrix, task: str) -> Iterator[tuple[int, list[int]]]:
    """The last stage on another line that learned the task without a source; those that had one."""
    rows, costs = matrix.rows, matrix.cells.costs
    learned = [i for i, row in enumerate(rows)
               if row.learned == task and matrix.has("accuracy", i, task)]  # fmt: skip
    used = [i for i in learned if set(_LOSSES) <= costs.get(i, {}).keys()]
    alone = [i for i in learned if i not in used and rows[i].line not in (GIVEN, MAIN)]
    paired = [i for i in used if alone and matrix.has("improvement_ratio", i, task, alone[-1])]
    if paired:
        yield alone[-1], paired


def _of_task(matrix: Matrix, task: str, alone: int, rows: Sequence[int]) -> Html:
    used = [
        Used(
            matrix.rows[row].step,
            matrix.value("accuracy", row, task),
            matrix.value("accuracy", row, task, alone),
            matrix.value("improvement_ratio", row, task, alone),
            {name: matrix.value(name, row).value for name in _LOSSES},
        )
        for row in rows
    ]
    note = _NOTE.format(task=task, alone=matrix.rows[alone].title)
    charts = (_chart(used, loss, name) for loss, name in _LOSSES.items())
    return join([
        tag("p", note, class_="soft"),
        tag("div", *charts, class_="grid wide"),
        numbers_below("Numbers of the sources", _numbers(used)),
    ])  # fmt: skip


def _chart(used: Sequence[Used], loss: str, name: str) -> Html:
    across = domain([one.losses[loss] for one in used], 0.3)
    up = domain([0.0, *(end for one in used for end in (one.gain.low, one.gain.high))])
    frame = Frame.around(across, up, size=(430.0, 270.0))
    zero = frame.y(0.0)
    label = f"gain in accuracy by {name}: " + "; ".join(
        f"{one.stage} {number(one.losses[loss])}, {told(one.gain, sign=True)}" for one in used
    )
    picture = svg(frame.width, frame.height, label, *frame.axes(name),
                  line(42, zero, frame.x.end, zero, "mark"),
                  *_points(frame, used, loss))  # fmt: skip
    return tag("figure", tag("figcaption", tag("b", "gain in accuracy")), picture)


def _points(frame: Frame, used: Sequence[Used], loss: str) -> Iterator[Html]:
    """A point each, with its name on the side where no name stands yet."""
    middle = (frame.x.start + frame.x.end) / 2
    named: list[tuple[float, float, bool]] = []
    for one in used:
        x, y = frame.x(one.losses[loss]), frame.y(one.gain.value)
        near = [left for at, up, left in named if abs(at - x) < _CLOSE and abs(up - y) < _LINE]
        left = not near[-1] if near else x > middle
        named.append((x, y, left))
        yield _point(frame, one, (x, y), left=left)


def _point(frame: Frame, one: Used, place: tuple[float, float], *, left: bool) -> Html:
    x, y = place
    return tag(
        "g",
        tag("rect", x=x - 2, y=frame.y(one.gain.high), width=4.0, rx=2.0, class_="interval",
            height=max(frame.y(one.gain.low) - frame.y(one.gain.high), 1.5)),
        tag("circle", cx=x, cy=y, r=4.5, class_="dot c0"),
        word(x - 8 if left else x + 8, y + 4, one.stage, anchor="end" if left else "start"),
    )  # fmt: skip


def _numbers(used: Sequence[Used]) -> Html:
    head = ["source of", "accuracy", "gain", "improvement ratio", *map(_spaced, _LOSSES)]
    return table(head, ([
        one.stage,
        told(one.accuracy),
        told(one.gain, sign=True),
        f"{signed(one.ratio.value)}",
        *(number(value) for value in one.losses.values()),
    ] for one in used))  # fmt: skip


def _spaced(name: str) -> str:
    return name.replace("_", " ")
