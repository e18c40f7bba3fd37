"""`bequest export`: a delivered model for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bequest.core.errors import Problem, RequestError, did_you_mean

_FORMATS = ("folder", "onnx")


def export(
    run: Annotated[Path, typer.Argument(help="A folder of a finished run.")],
    step: Annotated[str, typer.Argument(help="The step that delivered the model.")],
    to: Annotated[Path, typer.Option("--to", help="A new folder; an existing one is refused.")],
    role: Annotated[str, typer.Option(help="The role it was delivered in.")] = "student",
    seed: Annotated[int | None, typer.Option(help="The seed; the run's first.")] = None,
    form: Annotated[
        str, typer.Option("--format", help="folder (of the model's own kind) or onnx.")
    ] = "folder",
    merged: Annotated[
        bool, typer.Option("--merged", help="Add adapters to the model below them.")
    ] = False,
    task: Annotated[
        str | None, typer.Option(help="With --format onnx: the task whose head is meant.")
    ] = None,
) -> None:
    """Write a delivered model into a new folder, complete in itself.

    A Hugging Face model becomes a folder that transformers reads, adapters one that peft reads, an
    ONNX file is kept only if onnxruntime gives the same answers.
    """
    from bequest.build.exporting import export_folder, export_onnx
    from bequest.runner.result import Run

    if form not in _FORMATS:
        meant = did_you_mean(form, _FORMATS)
        fix = f"there are {', '.join(_FORMATS)}"
        raise RequestError(Problem(f"no format `{form}`", fix, meant=meant))
    if (merged and form == "onnx") or (task and form == "folder"):
        what = "--merged belongs to --format folder, --task to --format onnx"
        raise RequestError(Problem(what, "leave it out"))
    source = Run(run).delivered(step, role, seed)
    if form == "onnx":
        export_onnx(source, to, task or "")
    else:
        export_folder(source, to, merge=merged)
    typer.echo(str(to))
