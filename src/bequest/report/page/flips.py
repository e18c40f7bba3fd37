"""Samples whose answer flipped, as people see them, from `exhibits.json`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bequest.measure.rows import GIVEN
from bequest.report.page.draw import sparkline
from bequest.report.page.html import Html, join, table, tag
from bequest.report.page.numbers import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bequest.measure.matrix import Matrix

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_OPEN = 3  # comparisons shown unfolded
_TABLE = 12  # features that are listed; more become a line
_KINDS = (
    ("negative", "▼ right before, wrong now", "bad"),
    ("positive", "▲ wrong before, right now", "good"),
)


def flips(exhibits: Mapping[str, Any], matrix: Matrix) -> Html | None:
    """Every comparison with samples that flipped, then the surest mistakes at the end.

    None where no task is answered by one of several labels.
    Comparisons with untrained models are folded: nearly every answer flipped.
    """
    if not exhibits:
        return tag("p", "This run holds no exhibits.", class_="soft")
    if not exhibits["flips"] and not exhibits["mistakes"]:
        return None
    samples = exhibits["samples"]
    compared = [one for one in exhibits["flips"] if _shown(one)]
    others = [one for one in exhibits["flips"] if _count(one) and not _shown(one)]
    blocks = [_comparison(i, one, samples, matrix) for i, one in enumerate(compared)]
    wrong = [one for one in exhibits["mistakes"] if one["wrong"]["shown"]]
    if not blocks and not wrong and not others:
        return tag("p", "No answer flipped, and none is wrong at the end.", class_="soft")
    mistakes = (_mistakes(one, samples, matrix) for one in wrong)
    if not blocks and not others:
        blocks = [tag("p", "No answer flipped.", class_="soft")]
    return join([*blocks, *mistakes, _counts(others, matrix) if others else None])


def _count(one: Mapping[str, Any]) -> int:
    return int(one["negative"]["count"]) + int(one["positive"]["count"])


def _shown(one: Mapping[str, Any]) -> bool:
    return bool(one["negative"]["shown"] or one["positive"]["shown"])


def _counts(others: Sequence[Mapping[str, Any]], matrix: Matrix) -> Html:
    """Comparisons without pictures, as a table."""
    lines = [
        [matrix.rows[one["row"]].title, matrix.rows[one["against"]].title, one["task"],
         f"{one['negative']['count']:,}", f"{one['positive']['count']:,}"]
        for one in others
    ]  # fmt: skip
    head = ("stage", "compared with", "task", "▼ lost", "▲ won")
    return tag("details", tag("summary", f"{len(others)} comparisons more, counted"),
               table(head, lines, class_="stack"))  # fmt: skip


def _comparison(
    position: int, one: Mapping[str, Any], samples: Mapping[str, Any], matrix: Matrix
) -> Html:
    row, other = matrix.rows[one["row"]].title, matrix.rows[one["against"]].title
    counts = f"{one['negative']['count']} lost, {one['positive']['count']} won"
    if one["seeds"] > 1:
        counts += f" in at least one of {one['seeds']} seeds"
    title = tag("summary", tag("h3", f"{row} vs {other} on {one['task']}"), f" {counts}")
    return tag(
        "details",
        title,
        *(_kind(one, kind, name, class_, samples) for kind, name, class_ in _KINDS),
        open=position == 0 or (position < _OPEN and matrix.rows[one["against"]].line != GIVEN),
        class_="flips",
    )


def _kind(
    one: Mapping[str, Any], kind: str, name: str, class_: str, samples: Mapping[str, Any]
) -> Html | None:
    found = one[kind]
    if not found["count"]:
        return None
    shown = [_card(entry, samples[one["task"]], one["seeds"]) for entry in found["shown"]]
    more = found["count"] - len(shown)
    heading = tag("h4", tag("span", name, class_=f"told {class_}"), f" · {found['count']}")
    rest = tag("p", f"and {more} more", class_="soft") if more else None
    return join([heading, tag("div", *shown, class_="cards"), rest])


def _mistakes(one: Mapping[str, Any], samples: Mapping[str, Any], matrix: Matrix) -> Html:
    shown = [_card(entry, samples[one["task"]], one["seeds"]) for entry in one["wrong"]["shown"]]
    title = f"Still wrong at the end: {matrix.rows[one['row']].title} on {one['task']}"
    said = f" {one['wrong']['count']} samples; the surest of its mistakes"
    return tag("details", tag("summary", tag("h3", title), said),
               tag("div", *shown, class_="cards"), class_="flips")  # fmt: skip


def _card(entry: Mapping[str, Any], samples: Mapping[str, Any], seeds: int) -> Html:
    right = entry["after"] == entry["label"]
    said: list[Html | str] = [tag("b", f"is {entry['label']}")]
    if entry["before"] is not None:
        said.append(tag("span", f"before: {entry['before']}"))
    sign = "✓" if right else "✗"
    said.append(tag("span", f"{sign} now: {entry['after']}", class_="good" if right else "bad"))
    sure = f"{entry['confidence']:.0%}\N{NO-BREAK SPACE}sure"
    often = f", {entry['times']}/{seeds}\N{NO-BREAK SPACE}seeds" if seeds > 1 else ""
    said.append(tag("small", sure + often, class_="soft"))
    picture = shown(samples.get(entry["sample"], {}), f"sample whose label is {entry['label']}")
    return tag("figure", picture, tag("figcaption", *said), class_="card")


def shown(sample: Mapping[str, Any], label: str) -> Html:
    """A sample of any kind; one of an unknown kind is said to be so."""
    kinds = {"image": _image, "features": _features, "series": _series, "text": _text}
    show = kinds.get(str(sample.get("kind")))
    return show(sample, label) if show else tag("p", "can't be shown", class_="soft")


def _image(sample: Mapping[str, Any], label: str) -> Html:
    data = str(sample["png"])
    if not _BASE64.fullmatch(data):
        return tag("p", "damaged picture", class_="soft")
    source = f"data:image/png;base64,{data}"
    return tag("img", src=source, alt=label, loading="lazy", class_="sample")


def _features(sample: Mapping[str, Any], label: str) -> Html:
    pairs = list(zip(map(str, sample["names"]), map(float, sample["values"]), strict=False))
    listed = table(("feature", "value"), ([name, number(value)] for name, value in pairs))
    if len(pairs) <= _TABLE:
        return listed
    line = sparkline([value for _, value in pairs], f"{label}, {len(pairs)} features")
    return join([line, tag("details", tag("summary", f"{len(pairs)} features"), listed)])


def _series(sample: Mapping[str, Any], label: str) -> Html:
    values = [float(value) for value in sample["values"]]
    if not values:
        return tag("p", "an empty series", class_="soft")
    listed = table(("step", "value"), ([str(i), number(value)] for i, value in enumerate(values)))
    line = sparkline(values, f"{label}, a series of {len(values)} values")
    return join([line, tag("details", tag("summary", f"{len(values)} values"), listed)])


def _text(sample: Mapping[str, Any], label: str) -> Html:
    del label  # the text speaks for itself
    return tag("blockquote", str(sample["text"]))
