"""What looked forgotten and came back: curves of relearning, and facts that were asked out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.measure.audits import audits as audits_of
from bequest.measure.audits import gold_row
from bequest.measure.rows import GIVEN
from bequest.report.page.draw import COLOURS, Frame, path, svg
from bequest.report.page.html import Html, join, numbers_below, table, tag
from bequest.report.page.numbers import brief, number, told
from bequest.report.page.rows import row_name, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bequest.measure.matrix import Matrix

    Curve = list[tuple[float, float]]

_NO_GOLD = (
    "No line “gold” was measured here. What a model that never knew would give or relearn as well "
    "is unknown, so these numbers are no leak by themselves."
)
_WAYS = {
    "plainly": "direct_recovery",
    "at all": "recovery",
    "direct": "direct_success",
    "indirect": "indirect_success",
    "implied": "implied_success",
    "in turn": "chained_success",
    "step by step": "reasoned_success",
    "refused": "refusals",
    "controls right": "control_success",
}


def audits(exhibits: Mapping[str, Any], matrix: Matrix) -> Html | None:
    """A part for each audit; None where there is none."""
    parts = [
        _asked_out(matrix, task, exhibits) if metric == "recovery" else _relearned(matrix, task)
        for task, metric in audits_of(matrix)
    ]
    return join(parts) if parts else None


def _relearned(matrix: Matrix, task: str) -> Html:
    gold = gold_row(matrix, task, "relearned")
    rows = [row for row in _ends(matrix) if matrix.has("relearned", row, task)]
    drawn = [row for row in rows if row != gold][-(COLOURS - 1) :]
    drawn += [] if gold is None else [gold]
    note = (
        "A copy of every stage's model learns a part of what was forgotten again; the curve is "
        "what it then knows of the rest. What the model that never knew gains too is no memory."
    )
    return join([
        tag("h3", task, tag("span", " · learned again", class_="soft")),
        tag("p", note, class_="soft"),
        _no_gold(gold),
        _chart(matrix, task, drawn, gold),
        numbers_below(f"Numbers of {task}", _numbers(matrix, task, rows, gold)),
    ])  # fmt: skip


def _chart(matrix: Matrix, task: str, drawn: Sequence[int], gold: int | None) -> Html:
    curves = {row: curve_of(matrix, row, task) for row in drawn}
    steps = [step for step, _ in next(iter(curves.values()))]
    frame = Frame.around((0.0, steps[-1]), (0.0, 1.0), size=(680.0, 260.0))
    lines = [
        path([(frame.x(step), frame.y(score)) for step, score in curve],
             f"line c{place % COLOURS}" + (" gold" if row == gold else ""))
        for place, (row, curve) in enumerate(curves.items())
    ]  # fmt: skip
    names = [matrix.rows[row].title + " (never knew)" * (row == gold) for row in drawn]
    courses = (f"{name} goes from {number(curve[0][1])} to {number(curve[-1][1])}"
               for name, curve in zip(names, curves.values(), strict=True))  # fmt: skip
    picture = svg(frame.width, frame.height, f"{task} relearned: {'; '.join(courses)}",
                  *frame.axes("steps of learning again"), *lines, class_="wide")  # fmt: skip
    legend = [
        tag("span", tag("i", class_=f"swatch s{place % COLOURS}"), name)
        for place, name in enumerate(names)
    ]
    caption = tag("figcaption", tag("b", "score on the rest "), tag("span", *legend,
                  class_="legend"))  # fmt: skip
    return tag("figure", caption, picture)


def curve_of(matrix: Matrix, row: int, task: str) -> Curve:
    """Mean score after each number of steps, over samples and seeds."""
    seeds = matrix.cells.seeds_of(row, task)
    each = [matrix.cells.outcomes[row, task, seed].columns for seed in seeds]
    steps = sorted(int(name.removeprefix("after_")) for name in each[0] if name[:6] == "after_")
    means = {
        step: sum(float(one[f"after_{step}"].mean()) for one in each) / len(each) for step in steps
    }
    return [(float(step), mean) for step, mean in means.items()]


def _numbers(matrix: Matrix, task: str, rows: Sequence[int], gold: int | None) -> Html:
    steps = [brief(step) for step, _ in curve_of(matrix, rows[0], task)]
    head = ["stage", *(f"after {step}" for step in steps), "at its best", "area"]
    head += ["beyond gold, at its best"] * (gold is not None)
    lines = []
    for row in rows:
        scores = [number(score) for _, score in curve_of(matrix, row, task)]
        best, area = (matrix.value(name, row, task) for name in ("relearned", "relearn_area"))
        lines.append([row_name(matrix.rows[row]), *scores, told(best), number(area.value),
                      *_beyond(matrix, "relearned", row, task, gold)])  # fmt: skip
    return table(head, lines)


def _asked_out(matrix: Matrix, task: str, exhibits: Mapping[str, Any]) -> Html:
    gold = gold_row(matrix, task, "recovery")
    rows = [row for row in _ends(matrix) if matrix.has("recovery", row, task)]
    ways = {said: name for said, name in _WAYS.items()
            if any(matrix.has(name, row, task) for row in rows)}  # fmt: skip
    head = ["stage", *ways, *(["beyond gold, at all"] if gold is not None else [])]
    lines = [
        [row_name(matrix.rows[row]),
         *(_told(matrix, name, row, task) for name in ways.values()),
         *_beyond(matrix, "recovery", row, task, gold)]
        for row in rows
    ]  # fmt: skip
    guess = matrix.value("guess_baseline", rows[0], task)
    note = (
        f"Shares of {guess.units} facts that a reply gave away: asked plainly, and at all, by any "
        f"prompt; then shares of prompts. Naming the most frequent answer would give "
        f"{number(guess.value)}. This attack is a reconstruction: it finds leaks, and finding "
        "none proves nothing."
    )
    leaks = [one for one in exhibits.get("came_back", ()) if one["task"] == task]
    return join([
        tag("h3", task, tag("span", " · asked by ways around", class_="soft")),
        tag("p", note, class_="soft"),
        _no_gold(gold),
        table(head, lines, class_="stack"),
        *(_leaks(one, matrix) for one in leaks),
    ])  # fmt: skip


def _leaks(one: Mapping[str, Any], matrix: Matrix) -> Html:
    title = f"What {matrix.rows[one['row']].title} gave away, though not when asked plainly"
    lines = ([_fact(each), _said(each["plainly"]), _around(each)] for each in one["facts"])
    return table(("fact", "asked plainly", "asked around"), lines, caption=title,
                 class_="stack written")  # fmt: skip


def _fact(each: Mapping[str, Any]) -> Html:
    mark = tag("p", "its way is among what is kept", class_="soft") if each["deducible"] else None
    expected = tag("p", tag("span", "expected ", class_="soft"), each["expected"])
    return join([tag("p", each["question"]), expected, mark])


def _around(each: Mapping[str, Any]) -> Html:
    asked = tag("p", f"{each['category']}: {each['prompt']}", class_="soft")
    return join([asked, _said(each["reply"])])


def _said(text: str | None) -> Html:
    if text is None:
        return tag("p", "not asked", class_="soft")
    return tag("p", text) if text.strip() else tag("p", "nothing", class_="soft")


def _told(matrix: Matrix, metric: str, row: int, task: str) -> str:
    if not matrix.has(metric, row, task):
        return "—"
    found = matrix.value(metric, row, task)
    return told(found) if metric == "recovery" else number(found.value)


def _beyond(matrix: Matrix, metric: str, row: int, task: str, gold: int | None) -> Iterator[str]:
    if gold is None:
        return
    same = row == gold or not matrix.has(metric, row, task, gold)
    yield "—" if same else told(matrix.value(metric, row, task, gold), sign=True)


def _no_gold(gold: int | None) -> Html | None:
    return None if gold is not None else tag("p", tag("b", _NO_GOLD), class_="warning")


def _ends(matrix: Matrix) -> list[int]:
    """The models as they were given, and the last stage of every step."""
    last = {(row.step, row.name if row.line == GIVEN else ""): i
            for i in whole(matrix.rows) if (row := matrix.rows[i])}  # fmt: skip
    return sorted(last.values())
