"""Gradients that vanish on their way to the first layer."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any

from bequest.runner.doctor.finding import Finding, NotAtHand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bequest.runner.doctor.chart import Chart

NAME = "vanishing gradient"
SERIOUS, MINOR = 1e-5, 1e-3
_SOURCE = (
    "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural "
    "networks; the thresholds are ours"
)
_DO = (
    "use ReLU or GELU instead of sigmoid or tanh, an initialisation that fits (He et al. 2015), "
    "normalisation or skip connections, or fewer layers"
)


def look(chart: Chart) -> Iterator[Finding]:
    """Fits in which the first layer's gradient is a tiny part of the last one's, or all are zero.

    Both are of the step's own loss, root mean squares over the entries of a weight.
    """
    seen = [line for line in chart.health if "first" in line]
    if not seen:
        raise NotAtHand("the log tells no gradients of two layers or more")
    fits: dict[tuple[str, int, int], list[dict[str, Any]]] = defaultdict(list)
    for line in seen:
        fits[line["step"], line["seed"], line["fit"]].append(line)
    worst: dict[str, tuple[float, int, list[dict[str, Any]]]] = {}
    for (step, seed, _), lines in fits.items():
        ratio = _ratio(lines)
        if ratio is not None and ratio < min(MINOR, worst.get(step, (1.0,))[0]):
            worst[step] = ratio, seed, lines
    for step, (ratio, seed, lines) in worst.items():
        yield _finding(step, seed, ratio, lines)


def _ratio(lines: Sequence[dict[str, Any]]) -> float | None:
    """First to last, the median over a fit: single looks may be odd, such as the first of LoRA."""
    pairs = [(line["first"][1], line["last"][1]) for line in lines]
    known = [(first, last) for first, last in pairs if first is not None and last is not None]
    if not known:
        return None
    return median(first / last if last else float(first > 0) for first, last in known)


def _finding(step: str, seed: int, ratio: float, lines: Sequence[dict[str, Any]]) -> Finding:
    first, last = (median(line[end][1] or 0.0 for line in lines) for end in ("first", "last"))
    names = lines[-1]["first"][0], lines[-1]["last"][0]
    return Finding(
        NAME,
        "serious" if ratio < SERIOUS else "minor",
        {"step": step, "seed": seed, "layer": names[0]},
        f"the gradient at `{names[0]}` is {first:.2g}, at `{names[1]}` {last:.2g} (root mean "
        f"square of an entry, median of {len(lines)} looks): {ratio:.1g} of it",
        "early layers hardly learn: the model is one of its last layers on random features"
        if last
        else "no gradient reaches the weights: nothing is learned",
        _DO,
        {"first": first, "last": last, "ratio": ratio},
        _SOURCE,
    )
