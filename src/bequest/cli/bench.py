"""`bequest bench NAME`: measure speed against a floor in the same process."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from bequest.cli.output import Json, print_json
from bequest.core.errors import Problem, RequestError, did_you_mean

_ROOM = Path(__file__).parents[1] / "benchmarks"


def bench(
    name: Annotated[str | None, typer.Argument(help="Which one; lists them when left out.")] = None,
    as_json: Json = True,
) -> None:
    """Measure speed: every figure is a ratio to a floor measured in the same run, as JSON."""
    del as_json  # it is JSON in any case
    known = sorted(path.stem for path in _ROOM.glob("*.py") if not path.name.startswith("_"))
    if name is None:
        typer.echo("\n".join(known))
        return
    if name not in known:
        meant = did_you_mean(name, known)
        raise RequestError(Problem(f"no benchmark `{name}`", f"there are {', '.join(known)}",
                                   meant=meant))  # fmt: skip
    print_json(importlib.import_module(f"bequest.benchmarks.{name}").bench())
