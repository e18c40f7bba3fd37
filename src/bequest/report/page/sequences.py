"""Learning one task after another: what a model still knows of each task after each stage."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from bequest.measure.contrasts import METRICS
from bequest.measure.rows import GIVEN
from bequest.report.page.draw import COLOURS, Frame, interval_bar, line, path, svg, word
from bequest.report.page.heat import shade
from bequest.report.page.html import Html, join, numbers_below, table, tag
from bequest.report.page.numbers import number, signed, spread, told
from bequest.report.page.rows import metric_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.measure.intervals import Estimate
    from bequest.measure.matrix import Matrix
    from bequest.measure.rows import Row

_WORD_HEIGHT = 13.0
_MAIN = (
    "average_accuracy",
    "bwt",
    "forgetting",
    "fwt",
    "learning_accuracy",
    "min_accuracy",
    "wc_accuracy",
)
_HEAD = ("task", "just learned", "at the end", "difference", "around zero")


@dataclass(frozen=True)
class Course:
    """Rows that learned tasks one after the other.

    start: the row they went on from; stages: the rows; tasks: what each learned; moments: rows
    within the learning of each, from the first update on.
    """

    title: str
    start: int | None
    stages: tuple[int, ...]
    tasks: tuple[str, ...]
    moments: tuple[tuple[int, ...], ...]

    def places(self) -> list[tuple[float, int]]:
        """Where each row stands along the course, and the row.

        Tasks are a unit apart; moments stand evenly between, whatever their steps.
        """
        way = list(zip(self.stages, self.moments, strict=True))
        if self.start is not None:
            way.insert(0, (self.start, ()))
        found = []
        for x, (stage, within) in enumerate(way):
            apart = 1 / (len(within) + 1)
            found += [(x - 1 + apart * i, row) for i, row in enumerate(within, 1) if x]
            found.append((float(x), stage))
        return found


def courses(rows: Sequence[Row]) -> list[Course]:
    """Every way through the rows that learns at least two different tasks.

    Ways are found from their ends backwards; where the last step alone learned several tasks, the
    way begins with that step.
    """
    learned = {i for i, row in enumerate(rows) if row.learned and row.line != GIVEN}
    left = {rows[i].after for i in learned}
    ways = [_way(rows, i, learned) for i in sorted(learned - left)]
    return [
        Course(
            f"{rows[way[-1]].step}" + ("" if rows[way[-1]].line == "main" else
                                       f" (line {rows[way[-1]].line})"),
            rows[way[0]].after,
            tuple(way),
            tuple(str(rows[i].learned) for i in way),
            tuple(_within(rows, i) for i in way),
        )
        for way in ways
        if len({rows[i].learned for i in way}) > 1
    ]  # fmt: skip


def sequences(matrix: Matrix, metrics: Mapping[str, Any]) -> Html | None:
    """A chart, a triangle and a table for each course; None where there is none."""
    found = [part for course in courses(matrix.rows) if (part := _course(matrix, course))]
    if not found:
        return None
    note = (
        "After each stage the model is asked about every task again. A line that gets worse "
        "(falls, or rises where lower is better) is a task being forgotten; the filled dot is the "
        "stage that learned it."
    )
    if any(row.checkpoint is not None for row in matrix.rows):
        note += (
            " Between two dots the line goes through what was measured while a task was learned."
        )
    return join([
        tag("p", note, class_="soft"), tag("div", *found, class_="grid wide"), *_known(metrics),
    ])  # fmt: skip


def course_words(matrix: Matrix) -> Iterator[str]:
    """A sentence for each course: the task it lost most of, as far as that can be told."""
    for course in courses(matrix.rows):
        metric = matrix.primary(course.tasks[0])
        if metric is None or METRICS[metric].better != "higher":
            continue
        end = course.stages[-1]
        lost = [
            (matrix.value(metric, end, task, row), row, task)
            for row, task in zip(course.stages[:-1], course.tasks, strict=False)
            if matrix.has(metric, end, task, row) and task != course.tasks[-1]
        ]
        surely = [one for one in lost if one[0].high < 0]
        if surely:
            it, row, task = min(surely, key=lambda one: one[0].value)
            first = matrix.value(metric, row, task).value
            yield (
                f"Learning on, {course.title} fell from {number(first)} to "
                f"{number(first + it.value)} {metric.replace('_', ' ')} on {task}."
            )
        elif lost:
            yield f"As far as can be told, {course.title} forgot nothing."


def _way(rows: Sequence[Row], end: int, learned: set[int]) -> list[int]:
    way, at = [end], rows[end].after
    while at in learned:
        way.append(at)
        at = rows[at].after
    way.reverse()
    own = [i for i in way if rows[i].step == rows[end].step]
    return own if len({rows[i].learned for i in own}) > 1 else way


def _within(rows: Sequence[Row], stage: int) -> tuple[int, ...]:
    """The moments right before a stage that learned a task, from its first update on."""
    own = (i for i in reversed(range(stage)) if rows[i].step == rows[stage].step)
    found = list(takewhile(lambda i: rows[i].checkpoint is not None, own))
    return tuple(i for i in reversed(found) if rows[i].checkpoint)


def _course(matrix: Matrix, course: Course) -> Html | None:
    metric = next((m for task in course.tasks if (m := matrix.primary(task))), None)
    tasks = [
        task
        for task in dict.fromkeys(course.tasks)
        if metric and any(matrix.has(metric, i, task) for i in course.stages)
    ]
    if metric is None or not tasks:
        return None
    return tag(
        "figure",
        tag("figcaption", tag("b", course.title), f" · {metric.replace('_', ' ')}"),
        _chart(matrix, course, tasks, metric),
        table(_HEAD, _left(matrix, course, tasks, metric), class_="stack"),
        numbers_below("Every task after every stage", _triangle(matrix, course, tasks, metric)),
        _while_learning(matrix, course, tasks, metric),
    )


def _chart(matrix: Matrix, course: Course, tasks: Sequence[str], metric: str) -> Html:
    places = course.places()
    low, high = metric_range(matrix, metric, METRICS[metric].bounds)
    right = 14.0 + 6.4 * max(map(len, tasks))
    frame = Frame.around((-0.15, max(places[-1][0], 1.0)), (low, high),
                         size=(380.0, 250.0), right=min(right, 130.0))  # fmt: skip
    names = ["before"] * (course.start is not None) + list(course.tasks)
    marks = [(float(i), _cut(name, 330 / len(names))) for i, name in enumerate(names)]
    drawn, ends = [], []
    for index, task in enumerate(tasks):
        points = [
            (x, row, matrix.value(metric, row, task))
            for x, row in places
            if matrix.has(metric, row, task)
        ]
        drawn.append(_task_line(matrix, frame, index % COLOURS, task, points))
        ends.append((frame.y(points[-1][2].value), task, index % COLOURS))
    label = f"{metric} after each stage of {course.title}: " + "; ".join(
        _said(matrix, course, task, metric) for task in tasks
    )
    return svg(frame.width, frame.height, label,
               *frame.axes("after learning", marks), *drawn, *_end_words(frame, ends))  # fmt: skip


def _task_line(
    matrix: Matrix,
    frame: Frame,
    colour: int,
    task: str,
    points: Sequence[tuple[float, int, Estimate]],
) -> Html:
    parts = [path([(frame.x(x), frame.y(it.value)) for x, _, it in points], f"line c{colour}")]
    for place, row, it in points:
        if matrix.rows[row].checkpoint is not None:
            continue  # the line shows it; dots and whiskers are for whole stages
        x = frame.x(place)
        if it.low == it.low:
            parts.append(line(x, frame.y(it.low), x, frame.y(it.high), f"whisker c{colour}"))
        learned = matrix.rows[row].learned == task
        parts.append(tag("circle", cx=x, cy=frame.y(it.value), r=6.0 if learned else 3.6,
                         class_=f"{'dot' if learned else 'ring'} c{colour}"))  # fmt: skip
    return tag("g", *parts)


def _end_words(frame: Frame, ends: Sequence[tuple[float, str, int]]) -> Iterator[Html]:
    """Names of tasks beside the ends of their lines, moved apart where they would overlap."""
    lowest = frame.y.start - _WORD_HEIGHT * (len(ends) - 1)
    at = -_WORD_HEIGHT
    for place, (y, task, colour) in enumerate(sorted(ends)):
        at = max(at + _WORD_HEIGHT, min(y + 4, lowest + _WORD_HEIGHT * place + 4))
        yield word(frame.x.end + 10, at, _cut(task, 118), f"tick end c{colour}", "start")


def _cut(name: str, room: float) -> str:
    most = max(int(room / 6.4), 3)
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _said(matrix: Matrix, course: Course, task: str, metric: str) -> str:
    values = [
        number(matrix.value(metric, row, task).value)
        for row in course.stages
        if matrix.has(metric, row, task)
    ]
    return f"{task} {', '.join(values)}"


def _left(
    matrix: Matrix, course: Course, tasks: Sequence[str], metric: str
) -> Iterator[list[Html | str]]:
    end = course.stages[-1]
    for task in tasks:
        row = course.stages[course.tasks.index(task)]
        if not (matrix.has(metric, row, task) and matrix.has(metric, end, task)):
            continue
        first, last = matrix.value(metric, row, task), matrix.value(metric, end, task)
        yield [task, number(first.value), number(last.value),
               *_kept(matrix, metric, task, row, end)]  # fmt: skip


def _kept(matrix: Matrix, metric: str, task: str, row: int, end: int) -> list[Html | str]:
    if row == end:
        return [tag("span", "learned last", class_="soft"), ""]
    if not matrix.has(metric, end, task, row):
        return [tag("span", "not the same samples", class_="soft"), ""]
    it = matrix.value(metric, end, task, row)
    higher = METRICS[metric].better == "higher"
    good = it.low > 0 if higher else it.high < 0
    bad = it.high < 0 if higher else it.low > 0
    sign, class_ = ("▲", "good") if good else ("▼", "bad") if bad else ("≈", "unsure")
    low, high = METRICS[metric].difference_bounds
    most = min(abs(low), abs(high), max(abs(it.low), abs(it.high), 0.01) * 1.1)
    bar = interval_bar(it.value, it.low, it.high, (-most, most), told(it, sign=True), mark=0.0,
                       class_=class_)  # fmt: skip
    said = tag("span", f"{sign} {signed(it.value)} ", class_=f"told {class_}")
    return [join([said, tag("small", spread(it.low, it.high, sign=True), class_="soft")]), bar]


def _triangle(matrix: Matrix, course: Course, tasks: Sequence[str], metric: str) -> Html:
    """R[i, j]: a row after each stage, a column for each task."""
    low, high = metric_range(matrix, metric, METRICS[metric].bounds)
    higher = METRICS[metric].better == "higher"
    lines = []
    for row, learned in zip(course.stages, course.tasks, strict=True):
        cells = [tag("th", f"after {learned}", scope="row")]
        for task in tasks:
            if not matrix.has(metric, row, task):
                cells.append(tag("td", "—", class_="absent"))
                continue
            value = matrix.value(metric, row, task).value
            own = " learned" if task == learned else ""
            cells.append(tag("td", tag("b", number(value)),
                             class_=f"k{shade(value, low, high, higher)}{own}"))  # fmt: skip
        lines.append(tag("tr", *cells))
    head = tag("tr", tag("th", "", scope="col"), *(tag("th", t, scope="col") for t in tasks))
    inner = tag("table", tag("thead", head), tag("tbody", *lines), class_="heat dense")
    return tag("div", inner, class_="scroll")


def _while_learning(
    matrix: Matrix, course: Course, tasks: Sequence[str], metric: str
) -> Html | None:
    """Every task at the moments within the learning of each; None where there are none."""
    lines = [
        [learned, f"{matrix.rows[row].checkpoint:g}", *_scores(matrix, row, tasks, metric)]
        for learned, within in zip(course.tasks, course.moments, strict=True)
        for row in within
    ]
    head = ("while learning", "after steps", *tasks)
    return (
        numbers_below("Every task within the learning of each", table(head, lines))
        if lines
        else None
    )


def _scores(matrix: Matrix, row: int, tasks: Sequence[str], metric: str) -> Iterator[str]:
    for task in tasks:
        known = matrix.has(metric, row, task)
        yield number(matrix.value(metric, row, task).value) if known else "—"


def _known(metrics: Mapping[str, Any]) -> Iterator[Html]:
    """The main metrics of each sequence that `metrics.json` holds, with their definitions."""
    found = [one for one in metrics.get("sequences", []) if len(one["tasks"]) > 1]
    names = [name for name in _MAIN if any(name in one["metrics"] for one in found)]
    if not names:
        return
    about = metrics.get("metrics", {})
    yield tag("h3", "In one number")
    yield table(
        ("metric", *(one["step"] for one in found), "definition"),
        (
            [
                name.replace("_", " "),
                *(_one_number(one["metrics"].get(name)) for one in found),
                str(about.get(name, {}).get("definition", "")),
            ]
            for name in names
        ),
        class_="stack",
    )


def _one_number(value: Mapping[str, Any] | None) -> str:
    if value is None or value["value"] is None:
        return "—"
    return f"{number(value['value'])} ({spread(value['low'], value['high'])})"
