"""Several ways to do the same work, timed in turn in one process.

On a busy machine absolute times mean little, so every figure stands beside its floor: the ways
are called A, B, A, B …, the first round warms up and is dropped, and the ratio is that of the
smallest times. Ways that don't give the same result are not compared at all.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Times = Mapping[str, float]  # seconds by clock

ROUNDS = 6  # the first is dropped

CLOCKS: Mapping[str, Callable[[], float]] = {"cpu": time.process_time, "wall": time.perf_counter}


@dataclass(frozen=True)
class Unit:
    """What times are said in: `name`, such as "µs a step", and how many of it a second is."""

    name: str
    per_second: float


SECONDS = Unit("s", 1.0)


def side_by_side(
    what: str,
    ways: Mapping[str, Callable[[], Any]],
    same: Callable[[Any, Any], bool],
    *,
    rounds: int = ROUNDS,
    unit: Unit = SECONDS,
) -> dict[str, Any]:
    """Time all `ways` of doing `what`; the first named is the floor.

    ways: each call does the whole work and gives its result.
    same: whether a result equals the floor's; a row where one doesn't is void, without times.
    rounds: at least 2; the first is dropped.
    """
    floor, *others = ways
    times: dict[str, list[Times]] = {name: [] for name in ways}
    for number in range(rounds):
        results = {name: _timed(work, times[name]) for name, work in ways.items()}
        if number == 0:
            different = [name for name in others if not same(results[name], results[floor])]
            if different:
                return {"what": what, "void": f"{', '.join(different)} differs from {floor}"}
    return row(what, {name: seen[1:] for name, seen in times.items()}, unit)


def row(what: str, times: Mapping[str, Sequence[Times]], unit: Unit = SECONDS) -> dict[str, Any]:
    """Smallest and median times of each way, by clock, beside those of the first named.

    times: for each way one entry a round.
    """
    floor = next(iter(times))
    found: dict[str, Any] = {"what": what, "unit": unit.name, "floor": floor}
    for clock in CLOCKS:
        seen = {name: [each[clock] for each in rounds] for name, rounds in times.items()}
        least = {name: min(values) for name, values in seen.items()}
        found[clock] = {
            name: {
                "min": _round(least[name] * unit.per_second),
                "median": _round(statistics.median(values) * unit.per_second),
                "ratio": _round(least[name] / least[floor]),
            }
            for name, values in seen.items()
        }
    return found


def machine() -> dict[str, Any]:
    """What figures depend on; says nothing of whose machine it is. Imports no torch."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "threads": 1,
    }


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in one thread inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def now() -> Times:
    """What every clock shows."""
    return {name: clock() for name, clock in CLOCKS.items()}


def since(then: Times, later: Times) -> Times:
    """What passed between two readings of the clocks."""
    return {name: later[name] - then[name] for name in CLOCKS}


def _timed(work: Callable[[], Any], times: list[Times]) -> Any:
    began = now()
    result = work()
    times.append(since(began, now()))
    return result


def _round(value: float) -> float:
    return float(f"{value:.4g}")
