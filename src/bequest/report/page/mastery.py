"""A student's mastery over time as maps: concepts by steps, from `exhibits.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.report.page.heat import shade
from bequest.report.page.html import Html, join, numbers_below, table, tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.measure.matrix import Matrix

_SIGNS = ("✗", "✓")
_WORDS = ("wrong", "right")


def mastery(exhibits: Mapping[str, Any], matrix: Matrix) -> Html | None:
    """A map for each chosen student and network; None where no student was traced."""
    shown = [one for one in exhibits.get("mastery", ()) if one["stages"]]
    if not shown:
        return None
    note = (
        "Each column is an answer, marked ✓ right or ✗ wrong at the concept that was asked. The "
        "colour is how likely the network holds a right answer after it, concept by concept."
    )
    students = [_student(number, one, matrix) for number, one in enumerate(shown)]
    return join([tag("p", note, class_="soft"), _key(), *students])


def _key() -> Html:
    swatches = [tag("i", class_=f"k{level}") for level in range(0, 11, 2)]
    return tag("p", tag("span", "0 % ", *swatches, " 100 %"), class_="key", aria_hidden="true")


def _student(number: int, one: Mapping[str, Any], matrix: Matrix) -> Html:
    count = f" · {len(one['asked'])} answers, {sum(one['right'])} right"
    title = tag("h3", f"{one['task']}: student {number + 1}", tag("span", count, class_="soft"))
    maps = [_map(stage, one, matrix.rows[stage["row"]].title) for stage in one["stages"]]
    return join([title, *maps, numbers_below("All numbers of this student", _numbers(one, matrix))])


def _map(stage: Mapping[str, Any], one: Mapping[str, Any], title: str) -> Html:
    steps = range(1, len(one["asked"]) + 1)
    heads = [tag("th", _tick(step), scope="col") for step in steps]
    head = tag("tr", tag("th", "concept", scope="col"), *heads)
    rows = [_row(values, concept, one)
            for concept, values in zip(one["concepts"], stage["mastery"], strict=True)]  # fmt: skip
    inner = tag("table", tag("caption", title), tag("thead", head), tag("tbody", *rows),
                class_="mastery")  # fmt: skip
    return tag("div", inner, class_="scroll", tabindex="0", role="region",
               aria_label=f"mastery as {title} sees it")  # fmt: skip


def _tick(step: int) -> Html:
    """The number of a step; most are only told to those who hear the table."""
    said = step == 1 or step % 5 == 0
    return tag("span", str(step), class_=None if said else "unseen")


def _row(values: Sequence[float], concept: str, one: Mapping[str, Any]) -> Html:
    answers = zip(values, one["asked"], one["right"], strict=True)
    cells = [_cell(value, asked == concept, right) for value, asked, right in answers]
    return tag("tr", tag("th", concept, scope="row"), *cells)


def _cell(value: float, asked: bool, right: int) -> Html:
    said = f"{value:.0%}"
    mark = tag("b", _SIGNS[right], aria_hidden="true") if asked else None
    told = f"{said}, answered {_WORDS[right]}" if asked else said
    level = shade(value, 0.0, 1.0, higher_is_better=True)
    return tag("td", mark, tag("span", told, class_="unseen"), title=told, class_=f"k{level}")


def _numbers(one: Mapping[str, Any], matrix: Matrix) -> Html:
    """Every answer with what each network expected of its concept afterwards."""
    stages = [matrix.rows[stage["row"]].title for stage in one["stages"]]
    known = one["known"]
    head = ["answer", "concept", "came", *(["true chance"] if known else []),
            *(f"after it: {name}" for name in stages)]  # fmt: skip
    lines = []
    for step, (asked, right) in enumerate(zip(one["asked"], one["right"], strict=True)):
        truth = [f"{known[step]:.0%}"] if known else []
        after = [_after(stage, one["concepts"], asked, step) for stage in one["stages"]]
        lines.append([str(step + 1), asked, _WORDS[right], *truth, *after])
    return table(head, lines)


def _after(stage: Mapping[str, Any], concepts: Sequence[str], asked: str, step: int) -> str:
    return f"{stage['mastery'][concepts.index(asked)][step]:.0%}" if asked in concepts else "—"
