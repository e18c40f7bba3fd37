"""A term of a loss that drowns the others."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from bequest.runner.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bequest.runner.doctor.chart import Chart
    from bequest.runner.doctor.points import Point

NAME = "drowned term"
SERIOUS, MINOR = 0.001, 0.01  # share of the gradient, the median over a step's fits
_SOURCE = "shares of the gradient as in Chen et al. 2018, GradNorm; the thresholds are ours"


def look(chart: Chart) -> Iterator[Finding]:
    """Terms that made less than a hundredth of the gradient half of the time they had a value.

    A term that is 0 most of the time is a bound that is kept, and not drowned.
    """
    by_term: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in chart.points:
        if point.share is not None:
            by_term[point.step, point.term].append(point)
    for (step, term), own in by_term.items():
        active = [point for point in own if point.weight and point.value]
        if 2 * len(active) < len(own) or not active:
            continue
        usual = _usual(active)
        if usual < MINOR:
            others = [found for (other, _), found in by_term.items() if other == step]
            yield _finding(step, term, active, usual, max(others, key=_usual))


def _finding(
    step: str, term: str, own: Sequence[Point], usual: float, drowning: Sequence[Point]
) -> Finding:
    loud, seeds = drowning[0].term, len({point.seed for point in own})
    largest = max(point.share or 0.0 for point in own)
    return Finding(
        NAME,
        "serious" if usual < SERIOUS else "minor",
        {"step": step, "term": term},
        f"`{term}` (weight {own[-1].weight:g}) made {usual:.2g} of the gradient or less half of "
        f"the time, and {largest:.2g} at most, under {seeds} seed{'s' if seeds > 1 else ''}; "
        f"`{loud}` (weight {drowning[-1].weight:g}) made {_usual(drowning):.3g}",
        f"the model learns from `{loud}` as if `{term}` were not there",
        f"raise the weight of `{term}` or lower that of `{loud}` until each makes a few per cent; "
        "if it is not meant to matter, set its weight to 0"
        if largest
        else f"`{term}` gives no gradient at all: is it computed from the model that learns, "
        "outside `no_grad` and without `detach`?",
        {"share": usual, "largest_share": largest, "drowning_share": _usual(drowning)},
        _SOURCE,
    )


def _usual(points: Sequence[Point]) -> float:
    return median(point.share or 0.0 for point in points)
