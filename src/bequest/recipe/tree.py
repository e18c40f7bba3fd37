"""A recipe as a tree whose every value and key knows where it was written.

Layers (a base recipe, the recipe, overrides) are combined on such trees, so positions follow the
values for free. Trees are never changed: YAML aliases make them share branches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Position, Problem, RequestError

if TYPE_CHECKING:
    from typing import TypeAlias

    Field: TypeAlias = tuple[str | int, ...]

MAX_DEPTH = 50
MAX_NODES = 100_000
_MAX_INTEGER = 2**63


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a recipe.

    value: a scalar, a mapping of nodes or a list of nodes.
    at: where the value stands.
    keys: where each key of a mapping stands.
    """

    value: str | int | float | bool | dict[str, Node] | list[Node] | None
    at: Position
    keys: Mapping[str, Position] = field(default_factory=dict)

    @property
    def mapping(self) -> dict[str, Node]:
        """The nodes of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}


@dataclass(frozen=True, slots=True)
class Marks:
    """Where a value stands, and its key where it has one."""

    value: Position
    key: Position | None = None


def plain(node: Node) -> Any:
    """The values of a tree without their positions."""
    if isinstance(node.value, dict):
        return {name: plain(child) for name, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def marks(
    node: Node, path: Field = (), key: Position | None = None
) -> Iterator[tuple[Field, Marks]]:
    """The positions of a tree, by field path."""
    yield path, Marks(node.at, key)
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            yield from marks(child, (*path, name), node.keys[name])
    elif isinstance(node.value, list):
        for number, child in enumerate(node.value):
            yield from marks(child, (*path, number))


def mapping_of(children: Mapping[str, Node], at: Position, keys: Mapping[str, Position]) -> Node:
    """A mapping node that keeps only the positions of its own keys."""
    return Node(dict(children), at, {name: keys[name] for name in children})


def without(node: Node, *names: str) -> Node:
    """A mapping without the keys `names`."""
    kept = {name: child for name, child in node.mapping.items() if name not in names}
    return mapping_of(kept, node.at, node.keys)


def merge(base: Node, over: Node) -> Node:
    """`over` laid upon `base`.

    Mappings merge, anything else replaces; so does a mapping whose `use` is another one, since its
    fields are other fields. A null removes what the base has.
    """
    if not _mergeable(base, over):
        return over
    merged = dict(base.mapping)
    for name, child in over.mapping.items():
        if name not in merged:
            merged[name] = child
        elif child.value is None:
            del merged[name]
        else:
            merged[name] = merge(merged[name], child)
    return mapping_of(merged, over.at, {**base.keys, **over.keys})


def _mergeable(base: Node, over: Node) -> bool:
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return False
    both = "use" in base.value and "use" in over.value
    return not both or base.value["use"].value == over.value["use"].value


def from_python(value: Any, at: Position) -> Node:
    """The tree of Python values, all of them standing at `at`.

    Raises:
        RequestError: a value that YAML could not say, or too many of them.
    """
    return _Grower(at).node(value, ())


def checked_number(value: int | float) -> str:
    """What is wrong with a number that no field could take, or an empty string."""
    if isinstance(value, int):
        return "" if abs(value) < _MAX_INTEGER else "the number is too large"
    return "" if isfinite(value) else "the number is not finite"


class _Grower:
    """Turns Python values into nodes, and counts them: they may refer to themselves."""

    def __init__(self, at: Position) -> None:
        self.at = at
        self.count = 0

    def node(self, value: Any, path: Field) -> Node:
        self.count += 1
        if len(path) > MAX_DEPTH or self.count > MAX_NODES:
            raise self.problem("too deeply nested or too many values", path[:3])
        if isinstance(value, Mapping):
            return self.mapping(value, path)
        if isinstance(value, (list, tuple)):
            children = [self.node(child, (*path, i)) for i, child in enumerate(value)]
            return Node(children, self.at)
        return Node(self.scalar(value, path), self.at)

    def mapping(self, value: Mapping[Any, Any], path: Field) -> Node:
        children: dict[str, Node] = {}
        for key, child in value.items():
            name = self.scalar(key, path)
            if not isinstance(name, str):
                raise self.problem(f"a key must be text, but is {name!r}", path)
            children[name] = self.node(child, (*path, name))
        return Node(children, self.at, dict.fromkeys(children, self.at))

    def scalar(self, value: Any, path: Field) -> str | int | float | bool | None:
        if isinstance(value, PurePath):
            value = str(value)
        if isinstance(value, (int, float)) and (wrong := checked_number(value)):
            raise self.problem(wrong, path)
        if isinstance(value, str) and not encodable(value):
            raise self.problem("the text is not valid Unicode", path)
        if value is None or isinstance(value, (str, int, float)):
            return value
        what = f"a recipe can't hold a value of type {type(value).__name__}"
        raise self.problem(what, path, "give text, a number, true or false, a list or a mapping")

    def problem(self, what: str, path: Field, fix: str = "") -> RequestError:
        return RequestError(Problem(what, fix, field=path, at=self.at))


def encodable(text: str) -> bool:
    """Whether a text can be written to a file (it has no lone surrogates)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
