"""Finding things by name, without a registry.

A method's name is its file and its family the folder; the same for models and tasks. A network
that only one method trains lives in that method's file: `use: dkt` is `DktNetwork` there. A user's
own is `module:Name`, imported from the recipe's folder, the working folder or wherever Python finds
it.
"""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["models", "tasks", "methods", "indexes"]

_HOUSE = Path(__file__).parents[1]
_ROOMS = {
    "models": "build/models",
    "tasks": "build/tasks",
    "methods": "methods",
    "indexes": "build/indexes",
}


@dataclass(frozen=True)
class Entry:
    """A thing that can be named in a recipe: its module, family, one-line summary and class."""

    name: str
    module: str
    family: str
    summary: str
    found_as: str


@cache
def known(kind: Kind) -> Mapping[str, Entry]:
    """Everything built in of `kind`, by name; reads files, imports none of them."""
    entries = {path.stem: _entry(path, kind) for path in _files(_ROOMS[kind])}
    if kind == "models":
        found = {path.stem: _entry(path, kind, "Network") for path in _files(_ROOMS["methods"])}
        entries |= {name: entry for name, entry in found.items() if entry.summary}
    return MappingProxyType(dict(sorted(entries.items())))


def find(kind: Kind, name: str) -> Any:
    """The class (for a user's model: any callable) that `name` stands for.

    Raises:
        RequestError: nothing is known by that name, or the user's module can't be imported.
    """
    if ":" in name:
        return _users_own(name)
    entry = known(kind).get(name)
    if entry is None:
        raise RequestError(unknown(kind, name))
    module = importlib.import_module(entry.module)
    return getattr(module, entry.found_as)


def unknown(kind: Kind, name: str) -> Problem:
    """The problem of a name that nothing is known by."""
    return Problem(
        f"unknown {singular(kind)} `{name}`",
        f"known are {', '.join(known(kind))}, or your own as `module:Name`",
        meant=did_you_mean(name, known(kind)),
    )


def singular(kind: Kind) -> str:
    """What one of a kind is called."""
    return "index" if kind == "indexes" else kind[:-1]


def class_name(name: str) -> str:
    """The class in the file of `name`: `breast_cancer` is `BreastCancer`."""
    return "".join(part.capitalize() for part in name.split("_"))


def _files(room: str) -> list[Path]:
    return sorted(path for path in (_HOUSE / room).rglob("*.py") if not path.name.startswith("_"))


def _entry(path: Path, kind: Kind, more: str = "") -> Entry:
    """The entry of a file; `more` is what the class is called beyond the file's name."""
    inside = path.relative_to(_HOUSE).with_suffix("")
    family = path.parent.name if path.parent != _HOUSE / _ROOMS[kind] and not more else ""
    found_as = class_name(path.stem) + more
    module = ".".join(("bequest", *inside.parts))
    return Entry(path.stem, module, family, _summary(path, found_as), found_as)


def _summary(path: Path, found_as: str) -> str:
    # A search takes a tenth of the time of parsing, and `list` reads every file there is.
    head = rf'^class {found_as}\b[^:]*:\s+r?"""(.*?)(?:"""|$)'
    found = re.search(head, path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].strip() if found else ""


def _users_own(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise RequestError(
            Problem(
                f"`{module_name}` can't be imported: {type(error).__name__}: {error}",
                "it must be a module beside the recipe, in the working folder, or installed",
            )
        ) from error
    if not hasattr(module, attribute):
        names = [word for word in vars(module) if not word.startswith("_")]
        raise RequestError(
            Problem(
                f"`{module_name}` has no `{attribute}`",
                f"it has {', '.join(names)}" if names else "",
                meant=did_you_mean(attribute, names),
            )
        )
    return getattr(module, attribute)
