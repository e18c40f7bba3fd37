"""`bequest report RUN`: write a finished run's page again, and open it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bequest.cli.output import Json, print_json


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: Json = False,
) -> None:
    """Write the page of a finished run, from its folder alone."""
    import webbrowser

    from bequest.report.page import write_page
    from bequest.runner.result import Run

    path = write_page(Run(run).path)
    if as_json:
        print_json({"page": str(path), "bytes": path.stat().st_size})
    else:
        typer.echo(path)
    if open_:
        webbrowser.open(path.resolve().as_uri())
