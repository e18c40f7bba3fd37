"""A card for every step: what it takes, and what its last stage knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.measure.contrasts import METRICS
from bequest.measure.rows import MAIN
from bequest.report.page.draw import level_bar
from bequest.report.page.html import Html, join, tag
from bequest.report.page.numbers import amount, number, spread, told
from bequest.report.page.rows import metric_range, words
from bequest.report.page.story import steps_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.measure.matrix import Matrix
    from bequest.report.page.source import Source
    from bequest.report.page.story import StepTold

_MOST_TASKS = 8


def cards(source: Source) -> Html:
    """The cards as an ordered list."""
    found = enumerate(steps_of(source), 1)
    each = (_card(place, source.matrix, step) for place, step in found)
    return tag("ol", *each, class_="steps")


def _card(place: int, matrix: Matrix, step: StepTold) -> Html:
    row = matrix.rows[step.row]
    parameters = matrix.cells.costs.get(step.row, {}).get("parameters")
    size = f" · {amount(parameters, 'count')} parameters" if parameters else ""
    chips = [tag("span", f"{role}: {of}", class_="chip") for role, of in step.helpers.items()]
    if row.line != MAIN:
        chips.append(tag("span", f"line {row.line}, to compare with", class_="chip"))
    return tag(
        "li",
        tag("h2", f"{place}. {step.name} ", tag("span", step.method, class_="soft")),
        tag("p", f"{step.changes}{size}", class_="soft"),
        *_values(matrix, step.row),
        tag("p", join(chips, " ")) if chips else None,
        class_="card" if row.line == MAIN else "card aside",
    )


def _values(matrix: Matrix, row: int) -> Iterator[Html]:
    for task, heading in list(matrix.shown.items())[:_MOST_TASKS]:
        metric = matrix.primary(task)
        if not metric or not matrix.has(metric, row, task):
            continue
        found = matrix.value(metric, row, task)
        domain = metric_range(matrix, metric, METRICS[metric].bounds)
        yield tag(
            "div",
            tag("span", f"{heading} · {words(metric)}", class_="soft"),
            tag("b", number(found.value)),
            level_bar(found.value, found.low, found.high, domain, f"{metric}: {told(found)}"),
            class_="measure",
            title=f"{metric} {spread(found.low, found.high)}",
        )
    if len(matrix.shown) > _MOST_TASKS:
        yield tag("p", f"and {len(matrix.shown) - _MOST_TASKS} tasks more below", class_="soft")
