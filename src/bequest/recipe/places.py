"""Files and modules beside a recipe: what it names relative to itself is found from anywhere."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bequest.recipe.draft import Draft
    from bequest.recipe.tree import Field

# Fields of parts that name files or folders.
_PATHS = frozenset({"path", "validation_path", "test_path", "items", "queries", "ids", "tokenizer"})


def placed(draft: Draft) -> Draft:
    """The draft with relative paths that lead to something beside the file that names them.

    A path that leads nowhere from there starts at the working folder, as all do that were given on
    the command line or in Python. The user's own modules can then be imported from there too.
    """
    return replace(draft, data=_placed(draft, draft.data, ()))


def _placed(draft: Draft, value: Any, field: Field) -> Any:
    if isinstance(value, dict):
        return {name: _placed(draft, each, (*field, name)) for name, each in value.items()}
    if isinstance(value, list):
        return [_placed(draft, each, (*field, number)) for number, each in enumerate(value)]
    if isinstance(value, str) and field[-1:] == ("use",) and ":" in value:
        _make_importable(_folder(draft, field))
    return _beside(draft, value, field) if field[-1:] and field[-1] in _PATHS else value


def _beside(draft: Draft, path: Any, field: Field) -> Any:
    folder = _folder(draft, field)
    if not isinstance(path, str) or not path or path.startswith("~") or folder is None:
        return path
    try:
        there = (folder / path).exists()
    except (OSError, ValueError):  # such as a name that is too long
        return path
    return path if not there or Path(path).is_absolute() else os.path.relpath(folder / path)


def _folder(draft: Draft, field: Field) -> Path | None:
    """The folder of the recipe file that has this field, where it is not the working folder."""
    mark = draft.marks.get(field)
    file = Path(mark.value.file) if mark else Path()
    return file.parent if file.is_file() and not file.parent.samefile(".") else None


def _make_importable(folder: Path | None) -> None:
    if folder is not None and str(folder.resolve()) not in sys.path:
        sys.path.insert(0, str(folder.resolve()))
