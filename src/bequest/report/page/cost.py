"""What every stage costs, as bars in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.measure.metrics import COSTS
from bequest.report.page.html import Html, join, table, tag
from bequest.report.page.numbers import amount

if TYPE_CHECKING:
    from bequest.measure.matrix import Matrix
    from bequest.measure.metric import Metric

_WORDS = {"peak_memory": "peak memory", "seconds": "training time", "bytes": "size"}


def cost(matrix: Matrix) -> Html:
    """A line per stage; a stage that wasn't trained has no time."""
    costs = matrix.cells.costs
    known = [m for m in COSTS if any(own.get(m.name) for own in costs.values())]
    if not known:
        return tag("p", "No costs were recorded.", class_="soft")
    most = {m.name: max(own.get(m.name, 0.0) for own in costs.values()) for m in known}
    head = ("stage", *(_WORDS.get(m.name, m.name) for m in known))
    lines = [
        [row.title, *(_bar(m, costs.get(i, {}).get(m.name), most[m.name]) for m in known)]
        for i, row in enumerate(matrix.rows)
        if row.checkpoint is None
    ]
    return join([
        tag("p", "Means over seeds. Bars share a scale within a column.", class_="soft"),
        table(head, lines, class_="stack costs"),
    ])  # fmt: skip


def _bar(metric: Metric, value: float | None, most: float) -> Html:
    if not value:
        return tag("span", "—", class_="soft")
    width = max(round(100 * value / most, 1), 1.0)
    bar = tag("svg", tag("rect", width=width, height=8.0, rx=2.0, class_="fill"),
              viewBox="0 0 100 8", class_="cost", aria_hidden="true",
              preserveAspectRatio="none")  # fmt: skip
    return join([tag("span", amount(value, metric.unit)), bar])
