"""Saying things: to people on stderr and as tables, to programs as JSON on stdout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bequest.core.errors import BequestError, RequestError, RunError, dotted

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def complain(error: BequestError, *, as_json: bool) -> None:
    """Say what went wrong, all of it."""
    if as_json:
        print_json({"error": str(error), "kind": type(error).__name__, "problems": _each(error)})
        return
    typer.echo(str(error), err=True)


def unexpected(error: Exception) -> BequestError:
    """An error nobody foresaw as one that can be told; its traceback goes to a temporary file."""
    import tempfile

    from bequest.runner.unexpected import in_a_line, trace

    with tempfile.NamedTemporaryFile(
        "w", prefix="bequest-", suffix=".txt", encoding="utf-8", delete=False
    ) as file:
        file.write(trace(error))
    return RunError(f"{in_a_line(error)}; the traceback is in {file.name}")


def console(*, err: bool = False) -> Console:
    """Where tables go; in a file or pipe it is wide enough for them."""
    from rich.console import Console

    plain = Console(stderr=err)
    return plain if plain.is_terminal else Console(stderr=err, width=160)


def _each(error: BequestError) -> list[dict[str, Any]]:
    if not isinstance(error, RequestError):
        return []
    return [
        {
            "file": problem.at.file if problem.at else None,
            "line": problem.at.line if problem.at else None,
            "column": problem.at.column if problem.at else None,
            "field": dotted(problem.field),
            "what": problem.what,
            "fix": problem.fix,
            "meant": problem.meant,
        }
        for problem in error.problems
    ]
