"""A run on a terminal: the matrix, what changed, the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from bequest.core.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console, RenderableType

    from bequest.measure.intervals import Estimate
    from bequest.measure.matrix import Change, Matrix
    from bequest.measure.rows import Row
    from bequest.measure.sequences import TaskSequence
    from bequest.measure.verdict import Verdict

_OF_SEQUENCES = {
    "average_accuracy": "average at the end",
    "bwt": "BWT",
    "forgetting": "forgetting",
    "fwt": "FWT",
    "learning_accuracy": "just learned",
}
_WITHIN_TASKS = {"min_accuracy": "worst on the way", "wc_accuracy": "worst case"}
_MARKS = {"surely better": "▲", "surely worse": "▼", "can't be told": "·"}
_UNBOUNDED = 100_000  # characters; wider than any table
_STYLES = {"surely better": "green", "surely worse": "red", "can't be told": "dim"}


def show(console: Console, title: str, matrix: Matrix, verdict: Verdict) -> None:
    """Print a finished run."""
    values = fitting(console, list(matrix.shown), lambda tasks: _matrix_table(matrix, tasks))
    for part in (Text(title, "bold"), *values, *_told(console, matrix), gate_table(verdict)):
        console.print(part)
        console.print()


def fitting(
    console: Console, tasks: Sequence[str], make: Callable[[Sequence[str]], Table]
) -> Iterator[Table]:
    """Tables with a column or more for each task: so many that none is cut at the console's width.

    make: the table of some of the tasks.
    """
    table = make(tasks)
    unbounded = console.options.update(max_width=_UNBOUNDED)
    if len(tasks) < 2 or Measurement.get(console, unbounded, table).maximum <= console.width:
        yield table
        return
    half = (len(tasks) + 1) // 2
    for some in (tasks[:half], tasks[half:]):
        yield from fitting(console, some, make)


def _matrix_table(matrix: Matrix, tasks: Sequence[str]) -> Table:
    """Stages × tasks: each task's primary metric with its interval, and what the stage cost."""
    table = _table()
    table.add_column("stage", overflow="fold")
    table.add_column("line", style="dim")
    for heading in _headings(matrix, tasks):
        table.add_column(heading, justify="right")
        table.add_column("95 % interval", style="dim", justify="right")
    table.add_column("parameters", justify="right")
    table.add_column("fit", justify="right", style="dim")
    for index, row in _whole(matrix):
        cells = [text for task in tasks for text in _cell(matrix, index, task)]
        costs = matrix.cells.costs.get(index, {})
        seconds = costs.get("seconds")
        spent = f"{seconds:.1f} s" if seconds else ""
        parameters = f"{costs['parameters']:,.0f}" if "parameters" in costs else ""
        table.add_row(row.title, row.line, *cells, parameters, spent)
    return table


def _told(console: Console, matrix: Matrix) -> Iterator[RenderableType]:
    """What changed for sure, what can't be told, and single seeds where they are few."""
    tasks, changes = list(matrix.shown), matrix.changes()
    if changes:
        about = "; one seed: these very models" if len(matrix.cells.seeds) == 1 else ""
        title = f"What changed (▲ surely better, ▼ surely worse, · can't be told{about})"
        made = fitting(console, tasks, lambda some: _changes_table(matrix, changes, some))
        yield Group(Text(title, "bold"), *made)
    if table := sequences_table(matrix):
        yield table
    if 1 < len(matrix.cells.seeds) < 5:
        title = f"Seed by seed ({', '.join(map(str, matrix.cells.seeds))})"
        made = fitting(console, tasks, lambda some: _seeds_table(matrix, some))
        yield Group(Text(title, "bold"), *made)
    if absent := _absent(matrix):
        yield Text("\n".join(absent), "dim")


def _absent(matrix: Matrix) -> list[str]:
    """A line for each reason why something was not measured."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for index, row in _whole(matrix):
        for task in matrix.tasks:
            if not matrix.cells.seeds_of(index, task):
                stages = reasons.setdefault(matrix.cells.why_absent(index, task), {})
                stages.setdefault(task, []).append(row.title)
    return [
        f"{', '.join(stages)} on {task}: not measured, {why}"
        for why, by_task in reasons.items()
        for task, stages in by_task.items()
    ]


def sequences_table(matrix: Matrix) -> Table | None:
    """The main metrics of each sequence of several tasks; None where there is none."""
    found = [one for one in matrix.sequences if len(one.tasks) > 1]
    if not found:
        return None
    table = _table("Learning one task after another")
    table.add_column("step")
    table.add_column("tasks", justify="right")
    within = any(row.checkpoint is not None for row in matrix.rows)
    metrics = _OF_SEQUENCES | (_WITHIN_TASKS if within else {})
    for heading in metrics.values():
        table.add_column(heading, justify="right")
    for one in found:
        cells = [_of_sequence(one, metric) for metric in metrics]
        table.add_row(one.title, str(len(one.tasks)), *cells)
    return table


def gate_table(verdict: Verdict) -> RenderableType:
    """Every rule with its value and interval."""
    if not verdict.results:
        return Text("No gate rules in this recipe: nothing was judged.", style="dim")
    passed = Text("PASSED", "bold green") if verdict.passed else Text("FAILED", "bold red")
    table = _table(Text("Gate ") + passed)
    table.add_column("")
    table.add_column("rule")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", style="dim", justify="right")
    explained = any(result.reason for result in verdict.results)
    if explained:
        table.add_column("why")
    for result in verdict.results:
        mark = Text("✓", "green") if result.passed else Text("✗", "red")
        interval = f"{number(result.low)} … {number(result.high)}"
        why = (result.reason,) if explained else ()
        table.add_row(mark, result.rule.text, number(result.value), interval, *why)
    return table


def compared(
    console: Console,
    matrices: Mapping[str, Matrix],
    beside: Mapping[str, Mapping[str, Estimate]],
    metrics: Mapping[str, str],
) -> Iterator[Table]:
    """The last main stage of several runs, and the paired difference of each to the first.

    beside: by run and task, the difference; empty where the samples are not the same. metrics: the
    score of each task, the same for all runs; a task without one was not measured.
    """
    tasks = list(dict.fromkeys(task for matrix in matrices.values() for task in matrix.tasks))

    def table(some: Sequence[str]) -> Table:
        return _compare_table(matrices, beside, {task: metrics.get(task, "") for task in some})

    yield from fitting(console, tasks, table)


def _compare_table(
    matrices: Mapping[str, Matrix],
    beside: Mapping[str, Mapping[str, Estimate]],
    metrics: Mapping[str, str],
) -> Table:
    table = _table()
    table.add_column("run", overflow="fold")
    for task, metric in metrics.items():
        table.add_column(f"{metric or 'not measured'}\n{task}", justify="right")
        table.add_column("difference to\nthe first", justify="right")
    for name, matrix in matrices.items():
        cells = []
        for task, metric in metrics.items():
            cells += [_last(matrix, task, metric), _signed(beside.get(name, {}).get(task))]
        table.add_row(name, *cells)
    return table


def _headings(matrix: Matrix, tasks: Sequence[str]) -> list[str]:
    return [f"{matrix.primary(task) or ''}\n{matrix.shown[task]}" for task in tasks]


def _table(title: str | Text = "") -> Table:
    return Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )


def number(value: float) -> str:
    """A number as tables show it."""
    if value != value:
        return "—"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}"


def last_main(matrix: Matrix) -> int | None:
    """Index of the last row of line main."""
    return max((i for i, row in enumerate(matrix.rows) if row.line == "main"), default=None)


def _changes_table(matrix: Matrix, changes: Sequence[Change], tasks: Sequence[str]) -> Table:
    """One line for each pair of stages, one column for each task."""
    table = _table()
    table.add_column("stage", overflow="fold")
    table.add_column("compared with", overflow="fold")
    pairs: dict[tuple[int, int], dict[str, Text]] = {}
    for change in (one for one in changes if one.task in tasks):
        said = f"{change.difference.value:+.3f} {_MARKS[change.verdict]}"
        cells = pairs.setdefault((change.row, change.reference), {})
        cells[change.task] = Text(said, _STYLES[change.verdict])
    for heading in _headings(matrix, tasks):
        table.add_column(heading, justify="right")
    for (row, reference), cells in sorted(pairs.items()):
        titles = matrix.rows[row].title, matrix.rows[reference].title
        table.add_row(*titles, *(cells.get(task, Text()) for task in tasks))
    return table


def _seeds_table(matrix: Matrix, tasks: Sequence[str]) -> Table:
    """The values of single seeds, in their order."""
    table = _table()
    table.add_column("stage", overflow="fold")
    for heading in _headings(matrix, tasks):
        table.add_column(heading, justify="right")
    for index, row in _whole(matrix):
        cells = [" ".join(map(number, _of_seeds(matrix, index, task))) for task in tasks]
        table.add_row(row.title, *cells)
    return table


def _of_seeds(matrix: Matrix, row: int, task: str) -> tuple[float, ...]:
    primary = matrix.primary(task)
    if primary is None or not matrix.has(primary, row, task):
        return ()
    return matrix.value(primary, row, task).seeds


def _cell(matrix: Matrix, row: int, task: str) -> tuple[str, str]:
    primary = matrix.primary(task)
    if primary is None or not matrix.has(primary, row, task):
        return "—", ""
    found = matrix.value(primary, row, task)
    return number(found.value), f"{number(found.low)} … {number(found.high)}"


def _of_sequence(sequence: TaskSequence, metric: str) -> Text:
    try:
        found = sequence.value(metric)
    except RequestError:
        return Text("—")
    interval = Text(f"\n{number(found.low)} … {number(found.high)}", "dim")
    return Text(number(found.value)) + interval


def _whole(matrix: Matrix) -> Iterator[tuple[int, Row]]:
    """The rows with their index, but for moments within the learning of a task."""
    return ((i, row) for i, row in enumerate(matrix.rows) if row.checkpoint is None)


def _last(matrix: Matrix, task: str, metric: str) -> str:
    row = last_main(matrix)
    measured = row is not None and metric and task in matrix.tasks
    if row is None or not measured or not matrix.has(metric, row, task):
        return "—"
    found = matrix.value(metric, row, task)
    return f"{number(found.value)} ({number(found.low)} … {number(found.high)})"


def _signed(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} … {estimate.high:+.3f})"
