"""Values set from outside the recipe: `--set method.temperature=2`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bequest.core.errors import Position, Problem, RequestError, did_you_mean
from bequest.recipe.syntax import parse
from bequest.recipe.tree import MAX_DEPTH, Node, encodable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.recipe.tree import Field

_FORM = re.compile(r"\s*(?P<path>[^=]+?)\s*=(?P<value>.*)", re.DOTALL)
_PART = r"(?:[^\s.\[\]]+)"
_PATH = re.compile(rf"{_PART}(?:\.{_PART}|\[[0-9]{{1,9}}\])*")
_STEP = re.compile(rf"\[(?P<number>[0-9]+)\]|(?P<name>{_PART})")


def override(tree: Node, overrides: Sequence[str]) -> Node:
    """The tree with every `path=value` of `overrides` set, in their order.

    Values are written as in YAML. An entry of a list is reached by number (`steps[1]`) or, where
    the entries have one, by `name` (`steps.distil`).

    Raises:
        RequestError: all overrides that are malformed or lead nowhere.
    """
    problems: list[Problem] = []
    for text in overrides:
        try:
            tree = _override(tree, text)
        except RequestError as error:
            problems += error.problems
    if problems:
        raise RequestError(problems)
    return tree


def _override(tree: Node, text: str) -> Node:
    shown = text if encodable(text) else ascii(text)
    at = Position(f"--set {shown}")
    form = _FORM.fullmatch(text)
    if form is None or not encodable(text) or not _PATH.fullmatch(form["path"]):
        raise _problem("not an override", at, (), "write `path=value`, as in `fit.epochs=3`")
    steps = _STEP.finditer(form["path"])
    path = tuple(step["name"] or int(step["number"]) for step in steps)
    if len(path) > MAX_DEPTH:
        raise _problem(f"the path has more than {MAX_DEPTH} parts", at, ())
    if path[0] == "extend":
        raise _problem("can't be set", at, path, "write it in a recipe, or run that recipe")
    return _set(tree, path, (), parse(form["value"], lambda _line, _column: at))


def _set(node: Node, path: Field, done: Field, value: Node) -> Node:
    """`node` with `value` at `path`; `done` is how the walk came here."""
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(node.value, list):
        return _set_entry(node, part, rest, done, value)
    if not isinstance(node.value, dict) or isinstance(part, int):
        kind = "list" if isinstance(part, int) else "mapping"
        raise _problem(f"can't be set: this is not a {kind}", value.at, (*done, part))
    child = node.value.get(part, Node({}, value.at))
    changed = _set(child, rest, (*done, part), value)
    moved = not rest or part not in node.keys
    keys = {**node.keys, part: value.at if moved else node.keys[part]}
    return Node({**node.value, part: changed}, node.at, keys)


def _set_entry(node: Node, part: str | int, rest: Field, done: Field, value: Node) -> Node:
    entries = list(node.value) if isinstance(node.value, list) else []
    number = part if isinstance(part, int) else _number_of(part, entries, done, value.at)
    if number >= len(entries):
        what = f"there is no entry {number}"
        raise _problem(what, value.at, (*done, part), f"there are {len(entries)}, counted from 0")
    entries[number] = _set(entries[number], rest, (*done, number), value)
    return Node(entries, node.at)


def _number_of(name: str, entries: list[Node], done: Field, at: Position) -> int:
    names = [
        str(entry.mapping["name"].value) if "name" in entry.mapping else "" for entry in entries
    ]
    if name in names:
        return names.index(name)
    known = [known for known in names if known]
    fix = f"known are {', '.join(known)}" if known else "reach an entry by its number: `[0]`"
    raise _problem(f"no entry is named `{name}`", at, (*done, name), fix, did_you_mean(name, known))


def _problem(what: str, at: Position, field: Field, fix: str = "", meant: str = "") -> RequestError:
    return RequestError(Problem(what, fix, field, meant, at))
