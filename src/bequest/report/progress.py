"""Progress for people: bars with time left on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from bequest.core.progress import Progress as Told

LINE_SECONDS = 10.0


@contextmanager
def shown(console: Console) -> Iterator[Told]:
    """Progress on `console`, in the form that suits it."""
    if not console.is_terminal:
        yield Lines(console)
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}", style="dim"),
        console=console,
        transient=True,
    )
    with bars:
        yield Bars(bars)


class Bars:
    """One bar for the work going on."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task = bars.add_task("preparing", total=None, loss="")
        self._work = ""

    def begin(self, work: str, steps: int) -> None:
        """A new bar for `work`."""
        self._work = work
        self._bars.reset(self._task, description=work, total=steps or None, loss="")

    def advance(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Move the bar."""
        self._bars.update(self._task, completed=step, total=steps, loss=_losses(values))

    def doing(self, what: str) -> None:
        """Say it beside the bar."""
        self._bars.update(self._task, description=_at(self._work, what))

    def end(self) -> None:
        """Leave the bar full."""
        self._bars.update(self._task, completed=self._bars.tasks[self._task].total)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(f"note: {text}", style="yellow", markup=False, highlight=False)


class Lines:
    """A line when work begins and ends, and every ten seconds between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._work, self._began, self._said = "", 0.0, 0.0
        self._what, self._first = "", 0.0

    def begin(self, work: str, steps: int) -> None:
        """Remember what began."""
        self._work, self._began = work, time.monotonic()
        self._said = self._first = self._began
        self._what = ""

    def advance(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """A line, if the last one is ten seconds old."""
        now = time.monotonic()
        if now - self._said >= LINE_SECONDS:
            self._said = now
            left = (now - self._first) / step * (steps - step)
            parts = [f"step {step} of {steps}", f"{left:.0f} s left", _losses(values)]
            self._print(f"{_at(self._work, self._what)}: {', '.join(filter(None, parts))}")

    def doing(self, what: str) -> None:
        """A line, if the last one is ten seconds old."""
        self._what, self._first = what, time.monotonic()
        if what and self._first - self._said >= LINE_SECONDS:
            self._said = self._first
            self._print(_at(self._work, what))

    def end(self) -> None:
        """A line with the time it took."""
        self._print(f"{self._work}: done in {time.monotonic() - self._began:.1f} s")

    def note(self, text: str) -> None:
        """A line."""
        self._print(f"note: {text}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _at(work: str, what: str) -> str:
    return f"{work} · {what}" if what else work


def _losses(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())
