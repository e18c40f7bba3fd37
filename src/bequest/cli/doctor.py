"""`bequest doctor RUN`: diseases of a run that its numbers don't show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bequest.cli.output import Json, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.runner.doctor.finding import Diagnosis, Finding


def doctor(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    files: Annotated[
        bool,
        typer.Option(
            "--files", help="Read the run's files only: build no model, load no data, run no code."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Look for what makes a run's results worthless: exit code 1 when something serious is found.

    Dead or exploding activations, vanishing gradients, a drowned loss term, leaking data, a
    teacher in training mode, too few samples.
    """
    from bequest.runner.doctor.examine import doctor as examine

    found = examine(run, files_only=files)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo("\n".join(_lines(found)))
    raise typer.Exit(int(found.serious))


def _lines(found: Diagnosis) -> Iterator[str]:
    ended = "running, or killed" if found.status == "running" else found.status
    yield f"{found.run}: {ended}{f' ({found.reason})' if found.reason else ''}"
    yield f"looked for: {', '.join(found.checked) or 'nothing'}"
    for finding in found.findings:
        yield from ("", *_told(finding))
    if not found.findings:
        yield "nothing was found"
    if found.left_out:
        yield ""
    for left in found.left_out:
        yield f"left out: {left.check}: {left.why}"


def _told(finding: Finding) -> Iterator[str]:
    where = ", ".join(f"{key} {value}" for key, value in finding.where.items())
    yield f"{finding.severity.upper()}  {finding.name}: {where}"
    yield f"  seen:   {finding.seen}"
    yield f"  means:  {finding.means}"
    yield f"  do:     {finding.do}"
    if finding.source:
        yield f"  source: {finding.source}"
