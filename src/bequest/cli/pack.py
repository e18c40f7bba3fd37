"""`bequest pack`: make, look at, put on, take off and check packs; weights are streamed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bequest.cli.output import Json, console, print_json
from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from bequest.core.pack import Pack

app = typer.Typer(
    help="Make, show, apply, remove and verify packs: skills as small files beside a model.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_SHOWN = 80  # characters
Out = Annotated[Path, typer.Option("--out", help="A new folder; an existing one is refused.")]
Base = Annotated[
    Path | None, typer.Option("--base", help="The base, a folder of safetensors files.")
]


@app.command("make")
def make(
    base: Annotated[Path, typer.Argument(help="The base: a folder of safetensors files.")],
    tuned: Annotated[Path, typer.Argument(help="The fine-tuned model, of the same weights.")],
    out: Annotated[Path, typer.Option("--out", help="The pack, a new .safetensors file.")],
    method: Annotated[
        str, typer.Option(help="graft, magnitude, signs (BitDelta) or delta (all of it).")
    ] = "graft",
    budget: Annotated[
        float, typer.Option(min=1e-4, max=4, help="Share of the change's size in float16.")
    ] = 0.1,
    as_json: Json = False,
) -> None:
    """Make a pack of what a fine-tuned model has beyond its base; nothing is calibrated here."""
    from bequest.methods.graft._making import METHODS, made
    from bequest.report.progress import shown
    from bequest.store.packs import write_pack

    if method not in METHODS:
        meant = did_you_mean(method, METHODS)
        raise RequestError(Problem(f"no method `{method}`", f"there are {', '.join(METHODS)}",
                                   meant=meant))  # fmt: skip
    if out.exists():
        raise RequestError(Problem(f"`{out}` is there already", "name a new file"))
    with shown(console(err=True)) as progress:
        pack = made(base, tuned, method, budget, progress)
    write_pack(out, pack)
    _told(_about(out, pack), as_json)


@app.command("show")
def show(
    pack: Annotated[Path, typer.Argument(help="The pack.")],
    as_json: Json = False,
) -> None:
    """What a pack is, what it weighs, and which base it belongs to."""
    from bequest.store.packs import read_pack

    _told(_about(pack, read_pack(pack)), as_json)


@app.command("apply")
def apply(
    base: Annotated[Path, typer.Argument(help="The base: a folder of safetensors files.")],
    packs: Annotated[list[Path], typer.Argument(help="One pack or more; they sum up.")],
    out: Out,
    as_json: Json = False,
) -> None:
    """Write the base with packs on it into a new folder; the base stays as it is."""
    from bequest.report.progress import shown
    from bequest.transfer.skill_files import applied

    with shown(console(err=True)) as progress:
        _told(applied(base, packs, out, progress), as_json)


@app.command("remove")
def remove(
    model: Annotated[Path, typer.Argument(help="A folder that `apply` wrote.")],
    pack: Annotated[str, typer.Argument(help="The pack's name.")],
    out: Out,
    base: Base = None,
    as_json: Json = False,
) -> None:
    """Write the model without one pack, from its base; without the last, the base's bytes."""
    from bequest.report.progress import shown
    from bequest.transfer.skill_files import removed

    with shown(console(err=True)) as progress:
        _told(removed(model, pack, out, base, progress), as_json)


@app.command("verify")
def verify(
    path: Annotated[Path, typer.Argument(help="A pack, or a folder that `apply` wrote.")],
    base: Base = None,
    as_json: Json = False,
) -> None:
    """Check every byte of a pack, or of a model with packs, and whether the base is theirs."""
    from bequest.report.progress import shown
    from bequest.transfer.skill_files import verified

    with shown(console(err=True)) as progress:
        _told(verified(path, base, progress), as_json)


def _about(path: Path, pack: Pack) -> dict[str, Any]:
    """What is worth knowing of a pack; nothing in it is trusted to be there."""
    parts = pack.about.get("parts")
    found = parts.values() if isinstance(parts, dict) else ()
    forms = [_plain(one.get("form")) for one in found if isinstance(one, dict)]
    size, full = path.stat().st_size, pack.about.get("full_size")
    share = size / full if isinstance(full, int) and full > 0 else None
    return {
        "file": str(path),
        "kind": _plain(pack.kind),
        "method": _plain(pack.about.get("method", "")),
        "base": _plain(pack.base),
        "bytes": size,
        "share_of_float16": None if share is None else round(share, 4),
        "weights": len(pack.tensors),
        "forms": {form: forms.count(form) for form in sorted(set(forms))},
    }


def _plain(value: Any) -> str:
    """A text from a file as it can be shown: not endless, and without orders to a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(value)[:_SHOWN])


def _told(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        said = (
            ", ".join(f"{count} {each}" for each, count in value.items())
            if isinstance(value, dict)
            else ", ".join(value)
            if isinstance(value, list)
            else value
        )
        typer.echo(f"{name.replace('_', ' '):18} {said if said is not None else '-'}")
