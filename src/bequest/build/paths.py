"""Files and folders a recipe names: found, or a problem that says what was perhaps meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bequest.core.errors import Problem, RequestError, did_you_mean

FOLDER_SIDES = ("train", "validation", "test")
_ALSO = {"val": "validation", "valid": "validation"}
_JSON_LIMIT = 1 << 20


def located(path: str) -> Path:
    """`path` with `~` resolved."""
    return Path(path).expanduser()


def missing(path: str, field: str = "path") -> Problem:
    """The problem of a file or folder that isn't there."""
    place = located(path)
    try:
        beside = [str(place.parent / other.name) for other in place.parent.iterdir()]
    except OSError:
        return Problem(f"`{path}` doesn't exist, nor does its folder", field=(field,))
    return Problem(
        f"`{path}` doesn't exist",
        "paths start at the working folder",
        (field,),
        did_you_mean(str(place), beside),
    )


def not_a_file(path: str, field: str = "path") -> list[Problem]:
    """What keeps `path` from being a file with content."""
    place = located(path)
    if not place.exists():
        return [missing(path, field)]
    if not place.is_file():
        return [Problem(f"`{path}` is a folder; a file is needed", field=(field,))]
    if place.stat().st_size == 0:
        return [Problem(f"`{path}` is empty", field=(field,))]
    return []


def read_json(file: Path) -> dict[str, Any]:
    """A small JSON object.

    Raises:
        RequestError: it can't be read, is no object, or is over 1 MiB.
    """
    content = _read(file)
    if not isinstance(content, dict):
        raise RequestError(Problem(f"`{file}` must hold a JSON object"))
    return content


def read_json_list(file: Path) -> list[Any]:
    """A small JSON list.

    Raises:
        RequestError: it can't be read, is no list, or is over 1 MiB.
    """
    content = _read(file)
    if not isinstance(content, list):
        raise RequestError(Problem(f"`{file}` must hold a JSON list"))
    return content


def _read(file: Path) -> Any:
    try:
        if file.stat().st_size > _JSON_LIMIT:
            raise RequestError(Problem(f"`{file}` is over 1 MiB; it should be a few lines of JSON"))
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(Problem(f"`{file}` can't be read as JSON: {error}")) from error


def class_folders(place: Path) -> list[tuple[str, Path]]:
    """Every folder of a class, with the side it belongs to; training where none is named."""
    sides = [(_ALSO.get(folder.name, folder.name), folder) for folder in _folders(place)]
    if "train" not in (side for side, _ in sides):
        return [("train", folder) for _, folder in sides]
    return [
        (side, inner)
        for side, folder in sides
        if side in FOLDER_SIDES
        for inner in _folders(folder)
    ]


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and path.name[0] != ".")
