"""`bequest gate`: judge a finished run, by its own rules or by others."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bequest.cli.output import Json, print_json
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.core.errors import Position


class Format(StrEnum):
    """How the verdict is written."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"


def gate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    rules: Annotated[
        Path | None,
        typer.Option(help="Other rules: a YAML list, a recipe, or one rule a line."),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Folder of the run that `vs baseline` means.")
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="How the verdict is written.")
    ] = Format.TABLE,
    out: Annotated[
        Path | None, typer.Option(help="Write the verdict to this file as well.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge a finished run: exit code 0 when every rule passes, 1 when one fails."""
    from bequest.runner.result import Run

    judged = Run(run)
    other = Run(baseline) if baseline else None
    given = _rules(rules) if rules else []
    chosen = [rule for _, rule in given] if rules else judged.record["recipe"].get("gate", [])
    if not chosen:
        fix = "write some under `gate:` in the recipe, or give a file with --rules"
        raise RequestError(Problem("there are no rules to judge by", fix))
    try:
        verdict = judged.judge(chosen, other)
    except RequestError as error:
        raise RequestError([_placed(one, given) for one in error.problems]) from error
    written = Format.JSON if as_json else format_
    texts = {Format.MARKDOWN: verdict.to_markdown, Format.JUNIT: verdict.to_junit}
    if out:
        _write(out, verdict.to_json(), texts[written]() if written in texts else None)
    if written in texts:
        typer.echo(texts[written](), nl=False)
    elif written is Format.JSON:
        print_json(verdict.to_json())
    else:
        _print_table(verdict)
    raise typer.Exit(verdict.exit_code)


def _write(path: Path, as_json: object, text: str | None) -> None:
    from bequest.store.files import write_json, write_text

    if text is None:
        write_json(path, as_json)
    else:
        write_text(path, text)


def _print_table(verdict: object) -> None:
    from bequest.cli.output import console
    from bequest.report.terminal import gate_table

    console().print(gate_table(verdict))  # type: ignore[arg-type]


def _rules(path: Path) -> list[tuple[Position, str]]:
    from bequest.recipe.rules import read_rules

    return read_rules(path)


def _placed(problem: Problem, given: Sequence[tuple[Position, str]]) -> Problem:
    """A problem with field `("gate", i)` at the place of rule i, if it came from a file."""
    match problem.field:
        case ("gate", int(number)) if number < len(given):
            return replace(problem, field=(), at=given[number][0])
    return problem
