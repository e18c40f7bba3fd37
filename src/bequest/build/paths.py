"""Files and folders a recipe names: found, or a problem that says what was perhaps meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bequest.core.errors import Problem, RequestError, did_you_mean

FOLDER_SIDES = ("train", "validation", "test")
_SIDES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_LEFT_BEHIND = ("__MACOSX", "@eaDir")
_JSON_LIMIT = 1 << 20


def located(path: str) -> Path:
    """`path` with `~` resolved."""
    return Path(path).expanduser()


def missing(path: str, field: str = "path") -> Problem:
    """The problem of a file or folder that isn't there."""
    place = located(path)
    try:
        beside = [other.name for other in place.parent.iterdir()]
    except OSError:
        return Problem(f"`{path}` doesn't exist, nor does its folder", field=(field,))
    hidden = place.name.startswith(".")
    near = did_you_mean(place.name, [name for name in beside if name.startswith(".") == hidden])
    meant = str(Path(path).parent / near) if near else ""
    relative = not place.is_absolute()
    fix = "paths start at the recipe's folder, else at the working folder" if relative else ""
    return Problem(f"`{path}` doesn't exist", fix, (field,), meant)


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
    """Every folder of a class, with the side it belongs to; training where none is named.

    Raises:
        RequestError: a folder is named like a side, but there are no classes in `train`; or one
            beside `train` is named almost like a side.
    """
    found = folders(place)
    sides = {folder: side for folder in found if (side := _SIDES.get(folder.name.lower()))}
    if not sides:
        return [("train", folder) for folder in found]
    classes = [(side, inner) for folder, side in sides.items() for inner in folders(folder)]
    if "train" not in {side for side, _ in classes}:
        raise RequestError(_no_training(place, [folder.name for folder in sides]))
    for folder in found:
        near = did_you_mean(folder.name.lower(), _SIDES)
        if folder not in sides and near:
            what = f"`{place}` has a folder `{folder.name}` beside `train`"
            raise RequestError(Problem(what, "no such side is known", ("path",), near))
    return classes


def folders(place: Path) -> list[Path]:
    """The folders in a folder, but those that are passed over."""
    return sorted(path for path in place.iterdir() if path.is_dir() and not passed_over(path))


def passed_over(folder: Path) -> bool:
    """Whether a folder is hidden, or one that archives leave behind."""
    return folder.name.startswith(".") or folder.name in _LEFT_BEHIND


def _no_training(place: Path, named: list[str]) -> Problem:
    several = ", ".join(f"`{name}`" for name in named)
    what = f"`{place}` has the sides {several}, but no folder of a class in `train`"
    fix = "put the classes into `train/`; a class that is called so needs another name"
    return Problem(what, fix, ("path",))
