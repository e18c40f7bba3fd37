"""`bequest run`: carry out a recipe."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bequest.cli.output import Json, console, print_json
from bequest.core.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.runner import Estimate, Run
    from bequest.runner.dry import Data

_SHOWN = 8  # labels
_FORM = 'how many, such as "5" for 0 to 4, or which, such as "0,3,7"'


def run(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe's name, or a YAML file.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/NAME when left out.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, or the latest.")
    ] = False,
    seeds: Annotated[str | None, typer.Option(help=f"Other seeds: {_FORM}.")] = None,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, help="This seed; may be given several times.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Seeds to work on at the same time.")
    ] = 1,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field: method.temperature=2.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything; say what it would take.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Carry out a recipe: move, measure, judge.

    Exit code 1 when the recipe's gate says no, 130 after Ctrl-C, 143 after SIGTERM.
    """
    chosen = _chosen(seeds, seed or [])
    if dry_run:
        _plan(recipe, list(set_ or []), chosen, device, as_json=as_json)
        return
    from bequest import runner
    from bequest.report.progress import shown
    from bequest.store.processes import speaks

    try:
        with (
            _ended_by_sigterm(),
            shown(console(err=True)) if speaks() else nullcontext() as progress,
        ):
            found = runner.run(
                recipe, out=out, resume=resume, seeds=chosen, device=device,
                overrides=list(set_ or []), jobs=jobs, progress=progress,
            )  # fmt: skip
    except runner.Interrupted as stopped:
        typer.echo(f"interrupted; go on with: {_again(stopped.folder)}", err=True)
        raise typer.Exit(_code(stopped.__cause__)) from None
    except KeyboardInterrupt as stopped:
        typer.echo("interrupted", err=True)
        raise typer.Exit(_code(stopped)) from None
    if speaks():
        _show(found, as_json=as_json)
    raise typer.Exit(found.verdict.exit_code)


def _code(cause: BaseException | None) -> int:
    return EXIT_TERMINATED if isinstance(cause, _Terminated) else EXIT_INTERRUPTED


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as `kill`, schedulers and containers send it."""


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: its folder says so, and how to go on is told.

    Several processes that a launcher started are ended by it, as one of them may wait for another.
    """

    def end(number: int, frame: object) -> None:
        del number, frame
        raise _Terminated

    alone = os.environ.get("WORLD_SIZE", "1") == "1"
    if not alone or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _again(folder: Path) -> str:
    """The command line that goes on with the run this one began."""
    words = [word for word in sys.argv[1:] if word != "--resume"]
    if not any(word.partition("=")[0] == "--out" for word in words):
        words += ["--out", str(folder)]
    return shlex.join(["bequest", *words, "--resume"])


def _show(found: Run, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "folder": str(found.path),
                "verdict": found.verdict.to_json(),
                "seconds": found.record["seconds"],
                "metrics": found.matrix.to_json(),
            }
        )
        return
    from bequest.report.terminal import show

    out = console()
    show(out, found.record["title"] or found.record["name"], found.matrix, found.verdict)
    out.print(f"{found.path}  ({found.record['seconds']:.1f} s)", highlight=False, soft_wrap=True)
    if delivered := _latest_model(found):
        how = f"bequest predict {found.path} {delivered} --input FILE"
        out.print(f"its models are in {found.path / 'models'}; ask one: {how}",
                  highlight=False, soft_wrap=True)  # fmt: skip


def _latest_model(found: Run) -> str:
    """How the model of the last step that delivered one is named on a command line."""
    for row in reversed(found.matrix.rows):
        names = sorted(role.name for role in (found.path / "models" / row.step).glob("*/"))
        if names:
            name = shlex.quote(row.step)
            return name if "student" in names else f"{name} --role {shlex.quote(names[0])}"
    return ""


def _plan(
    recipe: str, overrides: list[str], seeds: list[int] | None, device: str, *, as_json: bool
) -> None:
    from bequest import runner

    if seeds is not None:
        overrides.append(f"seeds={seeds}")
    draft, plan = runner.inspect(recipe, overrides)
    estimate = runner.dry_run(runner.prepare(draft, plan, device))
    if as_json:
        print_json(estimate.to_json())
    else:
        console().print(_estimate_table(estimate))
        console().print(_data_table(estimate))
        for name, notes in [*((it.task, it.notes) for it in estimate.tasks),
                            *((it.model, it.notes) for it in estimate.models)]:  # fmt: skip
            for note in notes:
                typer.echo(f"{name}: {note}")
        typer.echo(_summary(estimate))


def _summary(estimate: Estimate) -> str:
    seeds = "one seed" if len(estimate.seeds) == 1 else f"{len(estimate.seeds)} seeds"
    return (
        f"{estimate.fit_steps:,} optimiser steps over {seeds}, {estimate.cells:,} cells, "
        f"at most {estimate.disk / 2**20:.1f} MiB of disk. Nothing was written."
    )


def _estimate_table(estimate: Estimate) -> Any:
    from rich.table import Table

    table = Table(pad_edge=False)
    for name in ("step", "method", "models", "tasks", "line", "optimiser steps"):
        table.add_column(name)
    for step in estimate.steps:
        models = ", ".join(f"{role}: {of}" for role, of in step.models.items())
        table.add_row(
            step.step, step.method, models, ", ".join(step.tasks), step.line, f"{step.fit_steps:,}"
        )
    return table


def _data_table(estimate: Estimate) -> Any:
    """Samples of each side of every task, and its labels or the range of its numbers."""
    from rich.table import Table

    sides = list(dict.fromkeys(side for task in estimate.tasks for side in task.samples))
    table = Table(pad_edge=False)
    answers = [_answers(task) for task in estimate.tasks]
    for name in ("task", *sides, *(["answers"] if any(answers) else [])):
        table.add_column(name, justify="right" if name in sides else "left")
    for task, said in zip(estimate.tasks, answers, strict=True):
        counts = [f"{task.samples[side]:,}" if side in task.samples else "" for side in sides]
        table.add_row(task.task, *counts, *([said] if any(answers) else []))
    return table


def _answers(task: Data) -> str:
    if task.range:
        return f"numbers from {task.range[0]:.6g} to {task.range[1]:.6g}"
    more = len(task.labels) - _SHOWN
    return ", ".join(task.labels[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _chosen(seeds: str | None, named: list[int]) -> list[int] | None:
    """The seeds that the command line asks for; None leaves the recipe's."""
    if seeds is not None and named:
        raise RequestError(Problem("`--seeds` and `--seed` can't be given together", "keep one"))
    return _seeds(seeds) if seeds is not None else named or None


def _seeds(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.strip("[]").split(",")]
    except ValueError:
        raise RequestError(Problem(f"`{text}` is no list of seeds", f"write {_FORM}")) from None
    if "," in text or "[" in text:
        return numbers
    if numbers[0] < 1:
        fix = f"for the seed {text} alone write `--seed {text}`" if numbers[0] == 0 else ""
        raise RequestError(Problem(f"`--seeds {text}` must be at least 1: it says how many", fix))
    return list(range(numbers[0]))
