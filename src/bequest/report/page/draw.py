"""Pictures as inline SVG; colours come from classes, so that they follow the theme and print."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, log10
from typing import TYPE_CHECKING

from bequest.report.page.html import Html, tag
from bequest.report.page.numbers import brief, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bequest.report.page.html import Content

COLOURS = 6  # classes c0 … c5, each with a dash of its own
_BAR_WIDTH, _BAR_HEIGHT = 200.0, 26.0


def svg(width: float, height: float, label: str, *content: Content, class_: str = "") -> Html:
    """A picture with a text for those who can't see it."""
    return tag(
        "svg", *content,
        viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_=class_ or None,
    )  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """From values between `low` and `high` to places between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; one outside stands at the end of its side."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = log10(low), log10(high), log10(at)
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Round values to mark."""
        if not self.log:
            return ticks(self.low, self.high)
        powers = range(int(log10(self.low)) - 1, int(log10(self.high)) + 2)
        whole = [10.0**power for power in powers if self.low <= 10.0**power <= self.high]
        return whole if len(whole) > 1 else [self.low, self.high]


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Html:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def word(x: float, y: float, said: str, class_: str = "tick", anchor: str = "middle") -> Html:
    """A word at a place."""
    return tag("text", said, x=x, y=y, class_=class_, text_anchor=anchor)


def path(points: Iterable[tuple[float, float]], class_: str) -> Html:
    """A line through points."""
    return tag("path", d="M" + "L".join(f"{x:g} {y:g}" for x, y in points), class_=class_)


def interval_bar(
    value: float,
    low: float,
    high: float,
    domain: tuple[float, float],
    label: str,
    *,
    mark: float | None = None,
    forbidden: Callable[[float], bool] | None = None,
    class_: str = "",
) -> Html:
    """A value with its interval on a line of its own.

    mark: a limit, or the zero of a difference. forbidden: whether a side of the mark is hatched.
    """
    if not all(map(isfinite, (value, low, high))):
        return tag("span", "not a number")
    scale = Scale(*domain, 6, _BAR_WIDTH - 6)
    middle = _BAR_HEIGHT / 2
    parts: list[Content] = [line(6, middle, _BAR_WIDTH - 6, middle, "axis")]
    if mark is not None:
        parts += _forbidden(scale, mark, forbidden) if forbidden else []
        parts.append(line(scale(mark), 2, scale(mark), _BAR_HEIGHT - 2, "mark"))
    left, right = scale(low), scale(high)
    parts += [
        tag("rect", x=left, y=middle - 4, width=max(right - left, 1.5), height=8.0, rx=4.0,
            class_="interval"),
        tag("circle", cx=scale(value), cy=middle, r=4.5, class_="value"),
    ]  # fmt: skip
    return svg(_BAR_WIDTH, _BAR_HEIGHT, label, *parts, class_=f"bar {class_}".strip())


def level_bar(
    value: float, low: float, high: float, domain: tuple[float, float], label: str
) -> Html:
    """A bar filled up to a value, with its interval as a line across its end."""
    if not all(map(isfinite, (value, low, high))):
        return tag("span", "not a number")
    scale = Scale(*domain, 0, _BAR_WIDTH)
    return tag(
        "svg",
        tag("rect", x=0.0, y=2.0, width=_BAR_WIDTH, height=8.0, class_="track"),
        tag("rect", x=0.0, y=2.0, width=scale(value), height=8.0, class_="fill"),
        tag("rect", x=scale(low), y=0.0, width=max(scale(high) - scale(low), 1.0), height=12.0,
            class_="between"),
        viewBox=f"0 0 {_BAR_WIDTH:g} 12", preserveAspectRatio="none", role="img",
        aria_label=label,
    )  # fmt: skip


def domain(values: Iterable[float], around: float = 0.08) -> tuple[float, float]:
    """A range that holds all values that are numbers, with some room around them."""
    finite = [value for value in values if isfinite(value)]
    if not finite:
        return 0.0, 1.0
    room = (max(finite) - min(finite)) * around or abs(finite[0]) * around or 0.5
    return min(finite) - room, max(finite) + room


@dataclass(frozen=True)
class Frame:
    """The axes of a chart: where values stand, and the names of what is drawn."""

    x: Scale
    y: Scale
    width: float
    height: float

    @classmethod
    def around(
        cls,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        size: tuple[float, float] = (340.0, 210.0),
        log: bool = False,
        right: float = 12.0,
    ) -> Frame:
        """Axes for these ranges; `right` is room for words beside the chart."""
        width, height = size
        return cls(Scale(*x, 42, width - right), Scale(*y, height - 34, 12, log), width, height)

    def axes(
        self, x_name: str, x_ticks: Sequence[tuple[float, str]] | None = None
    ) -> Iterator[Html]:
        """Lines and words of both axes."""
        bottom = self.height - 34
        for tick in self.y.ticks():
            yield line(42, self.y(tick), self.x.end, self.y(tick), "grid")
            yield word(37, self.y(tick) + 3.5, brief(tick), anchor="end")
        for at, said in x_ticks or [(tick, brief(tick)) for tick in self.x.ticks()]:
            yield word(self.x(at), bottom + 14, said)
        yield line(42, bottom, self.x.end, bottom, "axis")
        yield word((42 + self.x.end) / 2, self.height - 4, x_name, "tick name")


def sparkline(values: Sequence[float], label: str) -> Html:
    """A series as a small line."""
    low, high = min(values), max(values)
    x, y = Scale(0, max(len(values) - 1, 1), 2, 118), Scale(low, high, 38, 2)
    points = [(x(i), y(value)) for i, value in enumerate(values)]
    return svg(120, 40, label, path(points, "line c0"), class_="spark")


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most so many points: the means of neighbours."""
    if len(points) <= most:
        return list(points)
    edges = [round(i * len(points) / most) for i in range(most + 1)]
    parts = (points[start:end] for start, end in pairwise(edges))
    return [
        (sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts
    ]


def _forbidden(scale: Scale, mark: float, test: Callable[[float], bool]) -> list[Content]:
    room = abs(scale.high - scale.low) or 1.0
    sides = ((scale.start, scale(mark), mark - room), (scale(mark), scale.end, mark + room))
    return [
        tag("rect", x=start, y=3.0, width=max(end - start, 0), height=_BAR_HEIGHT - 6,
            class_="forbidden", fill="url(#hatch)")
        for start, end, example in sides
        if test(example)
    ]  # fmt: skip
