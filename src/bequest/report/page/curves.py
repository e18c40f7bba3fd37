"""Learning curves: every term of the loss at every stage, seeds as thin lines, their mean bold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.report.page.draw import COLOURS, Frame, path, svg, thinned
from bequest.report.page.html import Html, join, numbers_below, table, tag
from bequest.report.page.numbers import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.report.page.source import Curve

    Points = list[tuple[float, float]]

_MOST_POINTS = 100
_LISTED = 12
_LOG_FROM = 50.0  # how many times larger the largest value is where the axis becomes logarithmic


def curves(found: Sequence[Curve]) -> Html:
    """One chart per stage."""
    if not found:
        return tag("p", "No stage was trained, so there are no curves.", class_="soft")
    stages = dict.fromkeys(curve.stage for curve in found)
    charts = [_chart(stage, [c for c in found if c.stage == stage]) for stage in stages]
    return join([
        tag("p", "Each term of the loss before its weight; thin lines are seeds, the bold one "
            "is their mean.", class_="soft"),
        tag("div", *charts, class_="grid"),
        numbers_below("Numbers of the curves", _numbers(found)),
    ])  # fmt: skip


def mean_of(curve: Curve) -> Points:
    """The mean over seeds at steps that all of them have."""
    by_seed = [dict(points) for points in curve.points.values()]
    steps = sorted(set.intersection(*(set(points) for points in by_seed)))
    return [(step, sum(points[step] for points in by_seed) / len(by_seed)) for step in steps]


def _chart(stage: str, own: Sequence[Curve]) -> Html:
    drawn = [
        (index % COLOURS, [thinned(points, _MOST_POINTS) for points in curve.points.values()],
         thinned(mean_of(curve), _MOST_POINTS))
        for index, curve in enumerate(own)
    ]  # fmt: skip
    every = [point for _, seeds, bold in drawn for points in (*seeds, bold) for point in points]
    every = [point for point in every if point[1] == point[1]]
    if not every:
        return tag("figure", tag("figcaption", f"{stage}: no finite values"))
    x = 0.0, max(at for at, _ in every)
    least, most = min(value for _, value in every), max(value for _, value in every)
    log = least > 0 and most / least > _LOG_FROM
    frame = Frame.around(x, (least if log else min(least, 0.0), most), log=log)
    lines = [_lines(frame, *one) for one in drawn]
    label = f"Loss at {stage}: " + "; ".join(map(_course, own))
    picture = svg(frame.width, frame.height, label,
                  *frame.axes("step, logarithmic loss" if log else "step"), *lines)  # fmt: skip
    names = [
        tag("span", tag("i", class_=f"swatch s{index % COLOURS}"), f"{curve.term} ",
            tag("span", f"× {curve.weight:g}", class_="soft"))
        for index, curve in enumerate(own)
    ]  # fmt: skip
    return tag("figure", tag("figcaption", tag("b", stage), tag("span", *names, class_="legend")),
               picture)  # fmt: skip


def _lines(frame: Frame, colour: int, seeds: Sequence[Points], bold: Points) -> Html:
    thin = [_path(frame, points, f"line thin c{colour}") for points in seeds if len(seeds) > 1]
    return join([*thin, _path(frame, bold, f"line c{colour}")])


def _path(frame: Frame, points: Points, class_: str) -> Html | None:
    finite = [(frame.x(at), frame.y(value)) for at, value in points if value == value]
    return path(finite, class_) if finite else None


def _course(curve: Curve) -> str:
    bold = mean_of(curve)
    if not bold:
        return f"{curve.term} has no step that all seeds share"
    return f"{curve.term} goes from {number(bold[0][1])} to {number(bold[-1][1])}"


def _numbers(found: Sequence[Curve]) -> Html:
    head = ("stage", "term", "weight", "up to step", "mean over seeds", "seed by seed")
    lines = [
        [curve.stage, curve.term, f"{curve.weight:g}", f"{at + 1:.0f}", number(value),
         ", ".join(number(dict(points).get(at)) for points in curve.points.values())]
        for curve in found
        for at, value in _some(mean_of(curve))
    ]  # fmt: skip
    return table(head, lines)


def _some(points: Points) -> Points:
    """A dozen points, the first and the last among them."""
    if len(points) <= _LISTED:
        return points
    return [points[round(i * (len(points) - 1) / (_LISTED - 1))] for i in range(_LISTED)]
