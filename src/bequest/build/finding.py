"""What a `path` names: a file or folder, an asset, or a part of an asset (`name/part`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bequest.build.assets.known import known_assets
from bequest.build.assets.names import asset_folder, is_asset
from bequest.build.paths import located, missing
from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path


def at_hand(path: str) -> Path | None:
    """Where `path` is on this machine; None if it isn't, or not yet."""
    if (place := located(path)).exists():
        return place
    name, _, part = path.partition("/")
    folder = asset_folder(name) if is_asset(name) else None
    place = folder / part if folder else place
    return place if place.exists() else None


def fetched(path: str) -> Path:
    """Where `path` is, after an asset has been fetched if need be.

    Raises:
        RequestError: there is no such file, folder or part.
    """
    if found := at_hand(path):
        return found
    name, _, part = path.partition("/")
    if not is_asset(name):
        raise RequestError(_nowhere(path))
    from bequest.build.assets.fetch import fetched as fetch_asset

    folder = fetch_asset(name)
    if (folder / part).exists():
        return folder / part
    parts = ", ".join(f"{name}/{each.name}" for each in sorted(folder.iterdir()))
    raise RequestError(Problem(f"asset `{name}` has no `{part}`", f"there are {parts}", ("path",)))


def path_problems(path: str, field: str = "path") -> list[Problem]:
    """What keeps `path` from leading anywhere; an asset may still have to be fetched."""
    if at_hand(path) or is_asset(path.partition("/")[0]):
        return []
    return [_nowhere(path, field)]


def _nowhere(path: str, field: str = "path") -> Problem:
    """The problem of a path that leads to no file, no folder and no asset."""
    problem, (name, slash, part) = missing(path, field), path.partition("/")
    near = did_you_mean(name, known_assets())
    return replace(problem, meant=problem.meant or (f"{near}{slash}{part}" if near else ""))
