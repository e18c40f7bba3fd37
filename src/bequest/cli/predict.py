"""`bequest predict`: ask a delivered model about new inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bequest.cli.output import Json, print_json
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.build.predicting import Delivered

_ENDINGS = (".csv", ".parquet", ".jsonl")


def predict(
    run: Annotated[Path, typer.Argument(help="A folder of a finished run.")],
    step: Annotated[str, typer.Argument(help="The step that delivered the model.")],
    inputs: Annotated[
        str,
        typer.Option(
            "--input",
            help="A table, a folder of pictures, or a file of texts, by what the model takes.",
        ),
    ],
    role: Annotated[str, typer.Option(help="The role it was delivered in.")] = "student",
    seed: Annotated[int | None, typer.Option(help="The seed; the run's first.")] = None,
    task: Annotated[
        str | None, typer.Option(help="The task whose head or preparation is meant.")
    ] = None,
    longest: Annotated[
        int, typer.Option(min=1, help="Tokens that a language model writes at most.")
    ] = 64,
    out: Annotated[
        Path | None, typer.Option(help=f"A new file that ends in {', '.join(_ENDINGS)}.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a delivered model about new inputs, prepared as training prepared its own.

    Without --out a line is printed for each: its label and how likely that is, its number, or what
    a language model writes behind it. A file has the probability of every label, or an embedder's
    vectors.
    """
    from bequest.build.input_files import read_inputs
    from bequest.runner.result import Run

    model = Run(run).model(step, role, seed)
    _refuse_unfit(model, out, as_json)
    called, names, given, notes = read_inputs(inputs, model.asked_as(task))
    columns: dict[str, list[Any]] = {called: names}
    told = _columns(
        model.predict(given, task=task, longest=longest), whole=out is not None or as_json
    )
    columns |= {name: values for name, values in told.items() if name != "notes"}
    for note in [*notes, *told.get("notes", ())]:
        typer.echo(note, err=True)
    if out is not None:
        _write(out, columns)
        typer.echo(str(out))
    elif as_json:
        print_json(_rows(columns))
    else:
        typer.echo(_csv(columns), nl=False)


def _refuse_unfit(model: Delivered, out: Path | None, as_json: bool) -> None:
    if out is None:
        if "embed" in model.answers and not as_json:
            fix = "write them to a file: --out vectors.parquet"
            raise RequestError(Problem("the model gives vectors, which are no lines", fix))
        return
    if out.exists():
        raise RequestError(Problem(f"`{out}` is there already", "name a new file"))
    fitting = _ENDINGS if "embed" not in model.answers else _ENDINGS[1:]
    if out.suffix not in fitting:
        what = f"`{out}` ends in none of {', '.join(fitting)}"
        raise RequestError(Problem(what, "the ending says what is written"))


def _columns(said: Any, *, whole: bool) -> dict[str, list[Any]]:
    """What a model says, by column; probabilities of all labels where they are wanted."""
    if isinstance(said, list):
        return {"completion": said}
    if not hasattr(said, "probabilities"):
        return {"vector" if said.ndim == 2 else "prediction": said.tolist()}
    shares = said.probabilities
    columns: dict[str, list[Any]] = {
        "label": said.labels.tolist(),
        "probability": [round(share, 4) for share in shares.max(axis=1).tolist()],
        "notes": list(said.notes),
    }
    if whole:
        columns["probability"] = shares.max(axis=1).tolist()
        for place, name in enumerate(said.names):
            columns[f"probability of {name}"] = shares[:, place].tolist()
    return columns


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _csv(columns: dict[str, list[Any]]) -> str:
    import csv
    import io

    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _write(out: Path, columns: dict[str, list[Any]]) -> None:
    from bequest.store.files import atomic, write_text

    if out.suffix == ".csv":
        write_text(out, _csv(columns))
    elif out.suffix == ".jsonl":
        write_text(
            out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(columns))
        )
    else:
        import pyarrow
        import pyarrow.parquet

        with atomic(out) as temporary:
            pyarrow.parquet.write_table(pyarrow.table(columns), temporary)
