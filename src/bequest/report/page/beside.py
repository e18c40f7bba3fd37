"""Several runs side by side: their last stages, all their rows in one matrix, their costs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bequest.measure.contrasts import METRICS
from bequest.measure.table import Cells
from bequest.recipe.plan import differences
from bequest.report.page.cost import cost
from bequest.report.page.document import document
from bequest.report.page.draw import interval_bar
from bequest.report.page.heat import heat_data, heat_map
from bequest.report.page.html import Html, join, table, tag
from bequest.report.page.numbers import number, signed, spread, told
from bequest.report.page.rows import last_main, metric_range
from bequest.report.page.source import Known, Source, drawn_from, read
from bequest.report.page.verdict import verdict
from bequest.store.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bequest.measure.matrix import Matrix
    from bequest.measure.rows import Row

_HEAD = ("run", "task", "value", "95 % interval", "drawn", "difference to the first")


def write_comparison(folders: Mapping[str, Path], path: Path) -> None:
    """Write a page of finished runs side by side; the first leads.

    folders: the runs by the names the page gives them.

    Raises:
        RequestError: a folder holds no run.
        StoreError: a file is missing or damaged, or the page can't be written.
    """
    with drawn_from(*folders.values()):
        write_text(path, comparison({name: read(folder) for name, folder in folders.items()}))


def comparison(sources: Mapping[str, Source]) -> str:
    """The page as text."""
    names = list(sources)
    matrix = side_by_side({name: source.matrix for name, source in sources.items()})
    title = f"{len(names)} runs side by side"
    opening = join([
        tag("p", "Every run's last main stage, sample by sample beside that of ",
            tag("b", names[0]), ".", class_="lead"),
    ])  # fmt: skip
    sections = [
        ("Where each run ended", table(_HEAD, _lasts(matrix, sources), class_="stack")),
        ("What every stage knows", heat_map(matrix)),
        ("Verdicts", join(_verdicts(sources))),
        ("What it costs", cost(matrix)),
        ("What was asked differently", join(_asked(sources))),
    ]
    return document(title, opening, sections, heat_data(matrix))


def side_by_side(matrices: Mapping[str, Matrix]) -> Matrix:
    """One matrix of all rows: lines and steps carry the names of their runs.

    Rows of different runs can be compared where they answered the same samples under the same
    seeds. A task is judged as in the first run that has it.
    """
    parts, start = [], 0
    judged_by: dict[str, Sequence[str]] = {}
    for matrix in matrices.values():
        own = {task: matrix.judged_by.get(task, ()) for task in matrix.tasks}
        judged_by = {**own, **judged_by}
    for name, matrix in matrices.items():
        parts.append((name, matrix.cells, start))
        start += len(matrix.rows)
    everything = [cells for _, cells, _ in parts]
    return Known(Cells(
        rows=tuple(row for name, cells, at in parts for row in _renamed(name, cells, at)),
        tasks=tuple(dict.fromkeys(task for cells in everything for task in cells.tasks)),
        seeds=tuple(sorted({seed for cells in everything for seed in cells.seeds})),
        outcomes={(row + at, task, seed): one for _, cells, at in parts
                  for (row, task, seed), one in cells.outcomes.items()},
        absent={(row + at, task): why for _, cells, at in parts
                for (row, task), why in cells.absent.items()},
        costs={row + at: cost for _, cells, at in parts for row, cost in cells.costs.items()},
    ), judged_by)  # fmt: skip


def _renamed(name: str, cells: Cells, at: int) -> Iterator[Row]:
    for row in cells.rows:
        after = None if row.after is None else row.after + at
        yield replace(row, step=f"{name}/{row.step}", line=f"{name}: {row.line}",
                      order=row.order + at, after=after)  # fmt: skip


def _lasts(matrix: Matrix, sources: Mapping[str, Source]) -> Iterator[list[Html | str]]:
    """A line for every run and task; differences to the first run's last main stage."""
    start, first = 0, None
    for name, source in sources.items():
        last = last_main(source.matrix.rows)
        row = None if last is None else start + last
        start += len(source.matrix.rows)
        if row is None:
            continue
        for task in source.matrix.tasks:
            metric = matrix.primary(task)
            if metric and matrix.has(metric, row, task):
                yield _last(matrix, name, row, task, metric, first)
        first = row if first is None else first


def _last(
    matrix: Matrix, name: str, row: int, task: str, metric: str, first: int | None
) -> list[Html | str]:
    it = matrix.value(metric, row, task)
    around = metric_range(matrix, metric, METRICS[metric].bounds)
    bar = interval_bar(it.value, it.low, it.high, around, told(it))
    return [
        name,
        join([task, tag("span", f" {metric.replace('_', ' ')}", class_="soft")]),
        number(it.value),
        spread(it.low, it.high),
        bar,
        _difference(matrix, row, task, metric, first),
    ]


def _difference(matrix: Matrix, row: int, task: str, metric: str, first: int | None) -> Html:
    if first is None:
        return tag("span", "the first", class_="soft")
    if not matrix.has(metric, row, task, first):
        return tag("span", "not the same samples and seeds", class_="soft")
    it = matrix.value(metric, row, task, first)
    unsure = it.low <= 0 <= it.high
    good = (it.value > 0) == (METRICS[metric].better == "higher")
    sign, class_ = ("≈", "unsure") if unsure else ("▲", "good") if good else ("▼", "bad")
    said = f"{sign} {signed(it.value)} ({spread(it.low, it.high, sign=True)})"
    return tag("span", said, class_=f"told {class_}")


def _verdicts(sources: Mapping[str, Source]) -> Iterator[Html]:
    for name, source in sources.items():
        yield tag("h3", name)
        yield verdict(source.record.get("verdict"))


def _asked(sources: Mapping[str, Source]) -> Iterator[Html]:
    (first, leading), *others = sources.items()
    for name, source in others:
        changed = differences(leading.record["recipe"], source.record["recipe"])
        yield tag("h3", f"{first} → {name}")
        yield _listed(changed) if changed else tag("p", "The same recipe.", class_="soft")


def _listed(changed: Sequence[str]) -> Html:
    return tag("ul", *(tag("li", tag("code", one)) for one in changed))
