"""Errors nobody foresaw, in a line: a mistake in a user's own code, or one of ours."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from bequest.core.errors import shortened

_LIBRARIES = tuple(
    {str(Path(__file__).parents[1]), *(sysconfig.get_path(name) for name in ("stdlib", "purelib"))}
)


def in_a_line(error: BaseException) -> str:
    """Kind, message and place of an error, and the notes that were added to it on its way.

    The place is the last line of the user's own code that led there, or else where it happened.
    """
    first = shortened(next(iter(str(error).splitlines()), ""))
    said = f"{type(error).__name__}: {first}" if first else type(error).__name__
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return f"{said}, in {_place(error)}{notes}"


def trace(error: BaseException) -> str:
    """The traceback as Python prints it."""
    return "".join(traceback.format_exception(error))


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    last = (own or frames)[-1]
    path = Path(last.filename)
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    return f"{shown}:{last.lineno}"


def _is_own(file: str) -> bool:
    return not file.startswith(("<", *_LIBRARIES))
