"""The transfer matrix as a heat map: a table that colours, switches and can be walked by keys.

Colours are eleven classes, so that both themes and print have their own; what they say is also
written in each cell.
"""

from __future__ import annotations

from collections import Counter
from math import isfinite
from typing import TYPE_CHECKING, Any

from bequest.measure.contrasts import METRICS
from bequest.measure.metrics import SCORES
from bequest.report.page.html import Html, join, numbers_below, table, tag
from bequest.report.page.numbers import number, spread
from bequest.report.page.rows import line_words, lines, metric_range, row_name, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bequest.measure.intervals import Estimate
    from bequest.measure.matrix import Matrix

MOST_DIFFERENCES = 3_000  # beyond, only rows that are compared by default have intervals
_STEPS = 10


def heat_map(matrix: Matrix) -> Html:
    """Controls, the map, what was not measured, and all numbers as a table."""
    names = metrics_of(matrix)
    if not names:
        return tag("p", "Nothing was measured.", class_="soft")
    return join(
        [
            _controls(matrix, names),
            _map(matrix, names[0]),
            _key(),
            *_absent(matrix),
            numbers_below("All numbers of the matrix", _numbers(matrix, names)),
        ]
    )


def metrics_of(matrix: Matrix) -> list[str]:
    """Names of the scores that any cell has; first that by which most tasks are judged."""
    cells = [(row, task) for row in range(len(matrix.rows)) for task in matrix.tasks]
    found = [m.name for m in SCORES if any(matrix.has(m.name, *cell) for cell in cells)]
    judged = Counter(matrix.primary(task) for task in matrix.shown)
    return sorted(found, key=lambda name: -judged[name])


def heat_data(matrix: Matrix) -> dict[str, Any]:
    """What the switches need: every value, and differences to every row, with their intervals."""
    names = metrics_of(matrix)
    return {
        "tasks": list(matrix.shown.values()),
        "rows": [row.title for row in matrix.rows],
        "metrics": [_about(matrix, name) for name in names],
        "values": {
            name: [_row(matrix, name, i) for i in range(len(matrix.rows))] for name in names
        },
        "differences": {name: _differences(matrix, name, len(names)) for name in names},
    }


def _about(matrix: Matrix, name: str) -> dict[str, Any]:
    metric = METRICS[name]
    low, high = metric_range(matrix, name, metric.bounds)
    return {
        "name": name,
        "better": metric.better,
        "unit": metric.unit,
        "definition": metric.definition,
        "low": low,
        "high": high,
    }


def _row(matrix: Matrix, metric: str, row: int) -> list[list[Any] | None]:
    return [
        _packed(matrix.value(metric, row, task)) if matrix.has(metric, row, task) else None
        for task in matrix.shown
    ]


def _packed(found: Estimate) -> list[Any] | None:
    if not isfinite(found.value):
        return None
    seeds = [_short(value) for value in found.seeds] if len(found.seeds) > 1 else []
    return [_short(found.value), _short(found.low), _short(found.high), found.n, seeds]


def _short(value: float) -> float | None:
    return float(f"{value:.6g}") if isfinite(value) else None


def _differences(matrix: Matrix, metric: str, metrics: int) -> list[list[Any]]:
    """Row, other, column, difference, low, high; that of the pair turned round is its negative."""
    rows = whole(matrix.rows)
    pairs = {(max(pair), min(pair)) for pair in matrix.comparisons()}
    if len(rows) * (len(rows) - 1) // 2 * len(matrix.shown) * metrics <= MOST_DIFFERENCES:
        pairs = {(row, other) for row in rows for other in rows if other < row}
    return [
        [row, other, column, *map(_short, (it.value, it.low, it.high))]
        for row, other in sorted(pairs)
        for column, task in enumerate(matrix.shown)
        if matrix.has(metric, row, task, other)
        for it in (matrix.value(metric, row, task, other),)
    ]


def _controls(matrix: Matrix, names: Sequence[str]) -> Html:
    metrics = [tag("option", name.replace("_", " "), value=name) for name in names]
    rows = [tag("option", matrix.rows[i].title, value=str(i)) for i in whole(matrix.rows)]
    return tag(
        "form",
        tag("label", "show ", tag("select", *metrics, id="metric")),
        tag(
            "label",
            "as ",
            tag(
                "select",
                tag("option", "the value itself", value=""),
                tag("optgroup", *rows, label="difference to"),
                id="against",
            ),
        ),
        tag("p", METRICS[names[0]].definition, id="definition", class_="soft"),
        class_="controls",
    )


def _map(matrix: Matrix, metric: str) -> Html:
    head = tag("tr", tag("th", "stage", scope="col"),
               *(tag("th", heading, scope="col") for heading in matrix.shown.values()))  # fmt: skip
    bodies = [
        tag(
            "tbody",
            _line_head(line, len(matrix.shown)),
            *(_heat_row(matrix, i, metric) for i in own),
        )
        for line, own in lines(matrix.rows).items()
    ]
    tasks = len(matrix.shown)
    dense = " dense" if tasks > 5 else " several" if tasks > 2 else ""
    inner = tag("table", tag("caption", "Rows are stages, columns are tasks.", class_="unseen"),
                tag("thead", head), *bodies, class_=f"heat{dense}", id="heat")  # fmt: skip
    return tag("div", inner, class_="scroll")


def _line_head(line: str, tasks: int) -> Html:
    cell = tag("th", line_words(line), scope="rowgroup", colspan=str(tasks + 1))
    return tag("tr", cell, class_="line")


def _heat_row(matrix: Matrix, row: int, metric: str) -> Html:
    low, high = metric_range(matrix, metric, METRICS[metric].bounds)
    cells = []
    for column, (task, heading) in enumerate(matrix.shown.items()):
        place: dict[str, Any] = {"data_row": row, "data_column": column, "tabindex": -1}
        if not matrix.has(metric, row, task):
            why = matrix.why_undefined(metric, row, task) or matrix.cells.why_absent(row, task)
            cells.append(tag("td", "—", class_="absent", title=why, **place))
            continue
        found = matrix.value(metric, row, task)
        level = shade(found.value, low, high, METRICS[metric].better == "higher")
        said = (tag("b", number(found.value)), tag("small", spread(found.low, found.high)))
        learned = " learned" if matrix.rows[row].learned in heading.split(", ") else ""
        cells.append(tag("td", *said, class_=f"k{level}{learned}", **place))
    return tag("tr", tag("th", row_name(matrix.rows[row]), scope="row"), *cells)


def shade(value: float, low: float, high: float, higher_is_better: bool) -> int:
    """How strong the colour of a value is: 0 for the worst, 10 for the best."""
    if not isfinite(value):
        return 0
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    return round(_STEPS * (share if higher_is_better else 1 - share))


def _key() -> Html:
    swatches = [tag("i", class_=f"k{level}") for level in range(0, _STEPS + 1, 2)]
    values = tag("span", "worse ", *swatches, " better", id="key-values")
    sides = [tag("i", class_=f"d{level}") for level in (0, 2, 4, 5, 6, 8, 10)]
    differences = tag("span", "▼ worse ", *sides, " ▲ better; ≈ the interval holds zero",
                      id="key-differences", hidden=True)  # fmt: skip
    framed = tag("span", tag("i", class_="learned"), " the task this stage just learned")
    return tag("p", values, differences, framed, class_="key", aria_hidden="true")


def _absent(matrix: Matrix) -> Iterator[Html]:
    missing = [
        f"{matrix.rows[i].title} on {task}: {matrix.cells.why_absent(i, task)}"
        for i in whole(matrix.rows)
        for task in matrix.tasks
        if not matrix.cells.seeds_of(i, task)
    ]
    if missing:
        listed = tag("ul", *(tag("li", one) for one in missing))
        yield tag("details", tag("summary", f"Not measured: {len(missing)} of the cells"), listed)


def _numbers(matrix: Matrix, names: Sequence[str]) -> Html:
    head = ("stage", "task", "metric", "value", "95 % interval", "samples", "seed by seed")
    found = [
        [matrix.rows[i].title, task, name, number(it.value), spread(it.low, it.high), f"{it.n:,}",
         ", ".join(map(number, it.seeds))]
        for name in names
        for i in whole(matrix.rows)
        for task in matrix.tasks
        if matrix.has(name, i, task)
        for it in (matrix.value(name, i, task),)
    ]  # fmt: skip
    return table(head, found)
