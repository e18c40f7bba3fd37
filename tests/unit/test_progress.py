"""Progress as people read it in a log: what is being done, how far it is, and for how long yet."""

import io

import pytest
from rich.console import Console

from bequest.report import progress
from bequest.report.progress import Lines, shown


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(progress, "time", found)
    return found


@pytest.fixture
def told(clock):
    written = io.StringIO()
    lines = Lines(Console(file=written, width=200))
    return lines, lambda: written.getvalue().splitlines()


def test_a_line_every_ten_seconds_says_how_long_yet(clock, told):
    lines, said = told
    lines.begin("teach", 4)
    for step, now in ((1, 6.0), (2, 12.0), (3, 18.0)):
        clock.now = now
        lines.advance(step, 4, {"hard": 0.5})
    lines.end()
    assert said() == ["teach: step 2 of 4, 12 s left, hard 0.5000", "teach: done in 18.0 s"]


def test_what_the_work_is_at_is_said_and_counted_for_itself(clock, told):
    lines, said = told
    lines.begin("teach", 4)
    clock.now = 100.0
    lines.doing("scoring trained on kept")
    clock.now = 115.0
    lines.advance(1, 3, {})
    lines.doing("")
    clock.now = 140.0
    lines.advance(1, 2, {})
    assert said() == [
        "teach · scoring trained on kept",
        "teach · scoring trained on kept: step 1 of 3, 30 s left",
        "teach: step 1 of 2, 25 s left",
    ]


def test_on_a_terminal_it_stands_beside_the_bar():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with shown(console) as bars:
        bars.begin("teach", 4)
        bars.doing("scoring trained on kept")
        bars.advance(1, 4, {"hard": 0.5})
        bars.end()
    assert "teach · scoring trained on kept" in console.file.getvalue()
