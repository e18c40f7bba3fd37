"""The command line: one file per command, each importing what it needs when it is called."""

from __future__ import annotations

import os
import sys

import typer

from bequest.cli import (
    bench,
    compare,
    doctor,
    export,
    gate,
    get,
    listing,
    pack,
    predict,
    report,
    run,
    schema,
    show,
)
from bequest.cli.output import complain, unexpected
from bequest.core.errors import EXIT_RUN, BequestError
from bequest.store.processes import speaks

app = typer.Typer(
    name="bequest",
    help="Move what models know, and prove what moved.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("list")(listing.list_)
app.command("show")(show.show)
app.command("schema")(schema.schema)
app.command("gate")(gate.gate)
app.command("compare")(compare.compare)
app.command("doctor")(doctor.doctor)
app.command("report")(report.report)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("get")(get.get)
app.command("bench")(bench.bench)
app.add_typer(pack.app, name="pack")


def _version(wanted: bool) -> None:
    if wanted:
        from bequest import __version__

        typer.echo(f"bequest {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Move what models know, and prove what moved.

    Exit codes: 0 done, 1 the gate says no, 2 the request is wrong, 3 it failed while running,
    130 interrupted by Ctrl-C, 143 by SIGTERM.
    """


def main() -> None:
    """Run the command line; every error is a message and an exit code, never a traceback."""
    # Before torch is loaded: threads that spin while they wait take the time of whatever else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except BequestError as error:
        complain(error, as_json=_json_wanted())
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 — the traceback is kept for whoever mends it
        complain(unexpected(error), as_json=_json_wanted())
        sys.exit(EXIT_RUN)


def _json_wanted() -> bool:
    """Whether errors go to stdout as JSON; of several processes only one may write there."""
    return "--json" in sys.argv and speaks()
