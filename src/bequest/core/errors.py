"""Every error a user can meet, and what a message is made of.

BequestError
├── RequestError        the request is wrong: exit code 2, nothing was written
│   └── RunBusy         another process is writing to the run folder
└── RunError            it failed while running: exit code 3, the folder stays valid
    ├── NotFinite       a loss became NaN or infinite
    ├── ReplayDiverged  resumed work is not the work that the journal recorded
    ├── StaleCache      cached outputs belong to other weights, data or transform
    └── StoreError      a file could not be written or read (disk full, read-only, damaged)
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What is shown of one thing, as names and values may come from a file: characters a line, lines.
LONGEST, _MOST_LINES = 1000, 20
EXIT_DONE, EXIT_GATE, EXIT_REQUEST, EXIT_RUN = 0, 1, 2, 3
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143  # 128 and the number of SIGINT or SIGTERM


@dataclass(frozen=True)
class Position:
    """A place in a file: `line` and `column` count from 1; `file` may be `--set …`."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One mistake in a request: what is wrong, what would be right, and what was perhaps meant.

    `field` is the path of the recipe field, such as `("models", "teacher", "width")`.
    """

    what: str
    fix: str = ""
    field: tuple[str | int, ...] = ()
    meant: str = ""
    at: Position | None = None

    def under(self, *prefix: str | int) -> Problem:
        """The same problem with `prefix` before its field."""
        return replace(self, field=(*prefix, *self.field))

    def __str__(self) -> str:
        place = "  ".join(part for part in (str(self.at or ""), dotted(self.field)) if part)
        hint = f"did you mean `{self.meant}`?" if self.meant else ""
        said = "; ".join(shortened(part) for part in (self.what, self.fix, hint) if part)
        return f"{place}: {said}" if place else said


def shortened(text: str, most: int = LONGEST) -> str:
    """The text with lines of at most `most` characters, and at most 20 of them."""
    lines = text.split("\n")
    cut = [line if len(line) <= most else f"{line[:most]} …" for line in lines[:_MOST_LINES]]
    return "\n".join([*cut, "…"] if len(lines) > _MOST_LINES else cut)


def dotted(field: Iterable[str | int]) -> str:
    """A field path as people write it: `steps[1].models.teacher`."""
    path = ""
    for part in field:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return shortened(path)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known name closest to `word`, or an empty string where none is close."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


class BequestError(Exception):
    """Base of every error bequest raises on purpose; its text says what to do."""

    exit_code = EXIT_RUN


class RequestError(BequestError):
    """The request is wrong; carries every `Problem` found."""

    exit_code = EXIT_REQUEST

    def __init__(self, problems: Sequence[Problem] | Problem | str) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(map(str, self.problems)))


class RunBusy(RequestError):
    """Another process is writing to the run folder."""


class RunError(BequestError):
    """The work failed while running."""

    def __init__(self, said: str = "") -> None:
        super().__init__(shortened(str(said), 4 * LONGEST))


class NotFinite(RunError):
    """A loss became NaN or infinite.

    told: what happened; advice: what usually helps, where nothing else is known to be the cause.
    """

    def __init__(self, told: str, advice: str = "") -> None:
        super().__init__(f"{told}; {advice}" if advice else told)
        self.told, self.advice = told, advice

    def beside(self, others: Sequence[str]) -> NotFinite:
        """The same with what else was seen, which may be the cause, before the advice."""
        advice = f"if that is meant, {self.advice}" if others and self.advice else self.advice
        return NotFinite("; ".join([self.told, *others]), advice)


class ReplayDiverged(RunError):
    """Resumed work is not the work that the journal recorded."""


class StaleCache(RunError):
    """Cached outputs belong to other weights, data or transform."""


class StoreError(RunError):
    """A file could not be written or read."""
