"""Recipes from files, built-in names or Python mappings, with what they extend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Position, Problem, RequestError, did_you_mean
from bequest.recipe.draft import Draft
from bequest.recipe.named import with_named
from bequest.recipe.names import known_recipe, recipe_names, recipe_path
from bequest.recipe.overrides import override
from bequest.recipe.syntax import parse
from bequest.recipe.tree import Node, from_python, merge, without

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 2**20
_MAX_BASES = 20
_ENDINGS = (".yaml", ".yml")
_PYTHON = Position("recipe")


def read(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Draft:
    """The recipe of `source`, merged with what it extends, with `overrides` applied.

    Where a model or task names another one (`of: student`), the settings of that one stand.

    source: a path, the name of a built-in recipe, or the recipe as a Python mapping. A text is a
        path if such a file exists or it ends in .yaml or .yml.
    overrides: `path=value`, as in `fit.epochs=3` (see `recipe.overrides`).

    Raises:
        RequestError: the recipe can't be found or read; every problem says where.
    """
    if isinstance(source, Mapping):
        name, tree = "recipe", _extended(from_python(source, _PYTHON), Path(), ())
    else:
        path = _find(source, Path(), Position(str(source)))
        name, tree = path.stem, _load(path, ())
    return Draft.of(name, with_named(override(tree, overrides)))


def _find(source: str | Path, folder: Path, at: Position) -> Path:
    """The file that `source` means when it is said by something in `folder`, at `at`."""
    path = folder / source
    if isinstance(source, Path) or source.endswith(_ENDINGS) or _is_file(path):
        return path
    names = recipe_names()
    known = known_recipe(source)
    if known is None:
        fix = f"give a file ending in .yaml, or one of {', '.join(names) or '(none built in)'}"
        meant = did_you_mean(source, names)
        raise RequestError(Problem(f"unknown recipe `{source[:80]}`", fix, meant=meant, at=at))
    return recipe_path(known)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _load(path: Path, chain: tuple[Path, ...], said: Position | None = None) -> Node:
    """The tree of a file; `chain` holds the files that led here, the last of them at `said`."""
    file = _shown(path)
    text = _text(path, said or Position(file))
    tree = parse(text, lambda line, column: Position(file, line, column))
    return _extended(tree, path.parent, (*chain, path.resolve()))


def _shown(path: Path) -> str:
    """How messages name a file; a built-in recipe's place on this machine helps nobody."""
    if path == recipe_path(path.stem):
        return f"bequest/recipes/{path.name}"
    return str(path)


def _text(path: Path, at: Position) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        what = f"the recipe `{path}` can't be read: {reason}"
        raise RequestError(Problem(what, "check the path", meant=_near(path), at=at)) from error
    here = Position(_shown(path))
    if len(raw) > MAX_BYTES:
        what = "the file is larger than 1 MiB"
        raise RequestError(Problem(what, "a recipe is short; is this the right file?", at=here))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        here = Position(here.file, line, column)
        raise RequestError(Problem("the file is not UTF-8", "save it as UTF-8", at=here)) from error


def _near(path: Path) -> str:
    """A recipe beside `path` that is called almost like it; empty where there is none."""
    try:
        found = sorted(path.parent.iterdir())
    except (OSError, ValueError):
        return ""
    stems = {other.stem: other for other in found if other.suffix in _ENDINGS}
    near = did_you_mean(path.stem, stems)
    return str(stems[near]) if near else ""


def _extended(tree: Node, folder: Path, chain: tuple[Path, ...]) -> Node:
    """The tree laid upon what its `extend:` names, which is looked for in `folder`."""
    if not isinstance(tree.value, dict):
        what = "the recipe is empty" if tree.value is None else "a recipe must be a mapping"
        fix = "write `models:`, `tasks:` and `method:`"
        raise RequestError(Problem(what, fix, at=tree.at))
    if "extend" not in tree.value:
        return tree
    base = _base(tree.value["extend"], folder, chain)
    return _lay(base, without(tree, "extend"))


def _base(said: Node, folder: Path, chain: tuple[Path, ...]) -> Node:
    if not isinstance(said.value, str):
        fix = "give the path of a recipe, or the name of a built-in one"
        raise RequestError(Problem("must be text", fix, ("extend",), at=said.at))
    try:
        path = _find(said.value, folder, said.at)
        resolved = path.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise RequestError(Problem("not a path", field=("extend",), at=said.at)) from error
    if resolved in chain or len(chain) >= _MAX_BASES:
        what = "the recipes extend each other in a circle, or too deeply"
        fix = "remove one of the `extend:`"
        raise RequestError(Problem(what, fix, ("extend",), at=said.at))
    return _load(path, chain, said.at)


def _lay(base: Node, over: Node) -> Node:
    """Merge two recipes, of which each may have a method or steps but the result only one."""
    for mine, other in (("method", "steps"), ("steps", "method")):
        if mine in over.mapping and over.mapping[mine].value is not None:
            base = without(base, other)
    return merge(base, over)
