"""Numbers as the page writes them."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bequest.measure.intervals import Estimate

_SIZES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float | None) -> str:
    """Three decimals, or whole with thousands apart where it is large."""
    if value is None or not isfinite(value):
        return "not a number"
    said = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"
    return said.replace("-", "−")


def signed(value: float) -> str:
    """The same with its sign, zero without one."""
    said = number(value)
    return f"+{said}" if value > 0 and said.strip("0.") else said


def spread(low: float, high: float, sign: bool = False) -> str:
    """An interval from its two ends."""
    say = signed if sign else number
    return f"{say(low)}\N{NO-BREAK SPACE}…\N{NO-BREAK SPACE}{say(high)}"


def told(estimate: Estimate, sign: bool = False) -> str:
    """A value with its interval in brackets."""
    say = signed if sign else number
    return f"{say(estimate.value)} ({spread(estimate.low, estimate.high, sign)})"


def amount(value: float, unit: str) -> str:
    """A cost in words: `29,066`, `114 kB`, `2.3 s`."""
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "s":
        return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"
    for size, letter in _SIZES:
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}B"
    return f"{value:.0f} B"


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers inside a range, around as many as asked for."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough * 0.999)
    first = -int(-low // step) if low >= 0 else int(low // step)
    found = [round(step * i, 12) for i in range(first, int(high // step) + 2)]
    return [tick for tick in found if low - step * 1e-9 <= tick <= high + step * 1e-9]


def brief(value: float) -> str:
    """A number on an axis: as short as it can be."""
    if abs(value) >= 10_000:
        return next(
            f"{value / size:g} {letter}" for size, letter in _SIZES if abs(value) >= size
        ).replace("-", "−")
    return f"{value:g}".replace("-", "−")
