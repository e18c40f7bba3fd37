"""Samples whose number was predicted worst, as people see them, from `exhibits.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.report.page.flips import shown
from bequest.report.page.html import Html, join, tag
from bequest.report.page.numbers import number, signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bequest.measure.matrix import Matrix


def errors(exhibits: Mapping[str, Any], matrix: Matrix) -> Html | None:
    """The largest errors at the end, task by task; None where no number was predicted."""
    found = [one for one in exhibits.get("largest_errors", ()) if one["samples"]]
    return join([_task(one, matrix) for one in found]) if found else None


def _task(one: Mapping[str, Any], matrix: Matrix) -> Html:
    title = f"{matrix.rows[one['row']].title} on {one['task']}"
    cards = [_card(sample) for sample in one["samples"]]
    return join([tag("h3", title), tag("div", *cards, class_="cards")])


def _card(sample: Mapping[str, Any]) -> Html:
    target, prediction = float(sample["target"]), float(sample["prediction"])
    said = (
        tag("b", f"is {number(target)}"),
        tag("span", f"predicted: {number(prediction)}"),
        tag("small", f"error {signed(prediction - target)}", class_="soft"),
    )
    picture = shown(sample["shown"], f"sample whose target is {number(target)}")
    return tag("figure", picture, tag("figcaption", *said), class_="card")
