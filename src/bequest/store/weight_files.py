"""Which files of a folder hold its model's weights: those that its index names, and no others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bequest.core.errors import BequestError, Problem, RequestError
from bequest.store.files import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"-(\d+)-of-(\d+)\.safetensors$")
_SHOWN, _MOST_SHARDS = 5, 10_000


@dataclass(frozen=True)
class WeightFiles:
    """The safetensors files of a folder that hold its model.

    files: sorted by name; index: the file of each weight, by the weight's name, as the index says,
    and empty where there is none; left_out: other safetensors files there, which are not read.
    """

    files: tuple[Path, ...]
    index: Mapping[str, Path]
    left_out: tuple[Path, ...]


def weight_files(folder: Path) -> WeightFiles:
    """Which files of a folder hold its model, as transformers reads it.

    Those that `model.safetensors.index.json` names; without an index `model.safetensors`; without
    either all safetensors files.

    Raises:
        RequestError: a file is missing or lies elsewhere, the index is damaged, or an index and a
            `model.safetensors` that it does not name are both there.
    """
    there = tuple(sorted(folder.glob("*.safetensors")))
    index = _index(folder)
    if index:
        files = tuple(sorted(set(index.values())))
        if folder / SINGLE in there and folder / SINGLE not in files:
            what = f"`{folder}` holds `{SINGLE}` and an index of other files: two sets of weights"
            raise RequestError(Problem(what, "remove the one that is out of date"))
    else:
        files = (folder / SINGLE,) if folder / SINGLE in there else there
        _refuse_missing(folder, _shards_of(files))
    _refuse_missing(folder, files)
    return WeightFiles(files, index, tuple(file for file in there if file not in files))


def is_there(path: Path) -> bool:
    """Whether a file or folder exists; what can't be a path does not."""
    try:
        return path.exists()
    except OSError:
        return False


def _index(folder: Path) -> dict[str, Path]:
    """The file of each weight, as the folder's index says; empty where there is none."""
    place = folder / INDEX
    if not place.is_file():
        return {}
    try:
        told = read_json(place)
    except BequestError as error:
        raise RequestError(str(error)) from error
    names = told.get("weight_map") if isinstance(told, dict) else None
    if not isinstance(names, dict) or not names:
        what = f"`{place}` names no weights"
        raise RequestError(Problem(what, "its `weight_map` must give each weight's file"))
    for name in names.values():
        if not _is_file_name(name):
            what = f"`{place}` names `{name}`, which is no safetensors file of this folder"
            raise RequestError(Problem(what, "an index must name files beside it"))
    return {weight: folder / name for weight, name in names.items()}


def _is_file_name(name: Any) -> bool:
    """Whether it is the plain name of a safetensors file: no path, and no order to a terminal."""
    if not isinstance(name, str) or not name.isprintable() or set(name) & {"/", "\\"}:
        return False
    return name.endswith(".safetensors") and name not in (".safetensors", "..safetensors")


def _shards_of(files: Sequence[Path]) -> list[Path]:
    """All shards of which some are there, by the numbers in their names."""
    found = {}
    for file in files:
        if match := _SHARD.search(file.name):
            number, count = match.groups()
            start = file.name[: match.start()]
            for other in range(1, min(int(count), _MOST_SHARDS) + 1):
                name = f"{start}-{other:0{len(number)}}-of-{count}.safetensors"
                found[name] = file.with_name(name)
    return list(found.values())


def _refuse_missing(folder: Path, files: Sequence[Path]) -> None:
    if missing := [file.name for file in files if not is_there(file)]:
        what = f"`{folder}` lacks {some(missing)}"
        raise RequestError(Problem(what, "copy or fetch the whole model again"))


def some(names: Sequence[str]) -> str:
    """The first names, and how many there are in all."""
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} … ({len(names)} in all)"
