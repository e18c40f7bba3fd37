"""YAML text to a tree, taking only what a recipe needs.

Scalars follow the core schema of YAML 1.2.2 (section 10.3): `1e-3` is a number, `no` is text.
The tree grows from the reader's events, one at a time, so that hostile text (deep nesting, aliases
of aliases) is refused before it costs memory or stack.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from bequest.core.errors import Position, Problem, RequestError
from bequest.recipe.tree import MAX_DEPTH, MAX_NODES, Node, checked_number

if TYPE_CHECKING:
    from collections.abc import Callable

    Place = Callable[[int, int], Position]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)

_FIXES = {
    "cannot start any token": "indent with spaces, not tabs, and quote text that begins with it",
    "mapping values are not allowed": "quote text that contains `: `, and check the indentation",
    "expected ',' or": "close the bracket, or put a comma between the entries",
    "end of stream": "close the quote or bracket",
}


def parse(text: str, place: Place) -> Node:
    """The tree of one YAML document; `place` makes a position of a line and a column.

    Raises:
        RequestError: the text is not YAML, or more of YAML than a recipe may use.
    """
    builder = _Builder(text, place)
    try:
        tree = builder.document()
    except yaml.YAMLError as error:
        raise RequestError(_syntax_problem(error, text, place)) from error
    if builder.problems:
        raise RequestError(builder.problems)
    return tree


def resolve(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar.

    Raises:
        ValueError: a number that no field could take.
    """
    if text in _WORDS:
        return _WORDS[text]
    number: int | float
    if _INTEGER.fullmatch(text):
        number = int(text)
    elif _BASED.fullmatch(text):
        number = int(text, 0)
    elif _FLOAT.fullmatch(text):
        number = float(re.sub(r"\.(?=[inIN])", "", text))
    else:
        return text
    if wrong := checked_number(number):
        raise ValueError(wrong)
    return number


class _Builder:
    """Grows the tree of one document from the reader's events."""

    def __init__(self, text: str, place: Place) -> None:
        self.events = yaml.parse(text, Loader=_LOADER)
        self.place = place
        self.problems: list[Problem] = []
        self.anchors: dict[str, tuple[Node, int] | None] = {}
        self.count = 0

    def document(self) -> Node:
        next(self.events)
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return Node(None, self.place(1, 1))
        tree = self.node(next(self.events), 0)
        next(self.events)
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            self.note(after, "there is more than one document", "remove the line `---`")
        return tree

    def node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        before = self.count
        self.grow(event, 1)
        if depth > MAX_DEPTH:
            self.stop(event, f"nested deeper than {MAX_DEPTH} levels", "a recipe is flat")
        if event.tag is not None:
            self.note(event, "tags (`!…`) are not allowed", "remove the tag; a recipe is data only")
        if event.anchor:
            self.anchors[event.anchor] = None
        node = self.content(event, depth)
        if event.anchor:
            self.anchors[event.anchor] = node, self.count - before
        return node

    def content(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(event, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event, depth)
        return Node(self.scalar(event), self.at(event))

    def scalar(self, event: Any) -> str | int | float | bool | None:
        if not event.implicit[0]:
            return str(event.value)
        try:
            return resolve(event.value)
        except ValueError as error:
            # int() refuses thousands of digits with a message of its own
            what = str(error) if str(error).startswith("the number") else "the number is too large"
            self.note(event, what, "write it within quotes if it is text")
            return None

    def sequence(self, start: Any, depth: int) -> Node:
        children = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            children.append(self.node(event, depth + 1))
        return Node(children, self.at(start))

    def mapping(self, start: Any, depth: int) -> Node:
        children: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            name = self.key(event, depth + 1, keys)
            child = self.node(next(self.events), depth + 1)
            if name is not None:
                children[name], keys[name] = child, self.at(event)
        return Node(children, self.at(start), keys)

    def key(self, event: Any, depth: int, keys: dict[str, Position]) -> str | None:
        """The key as text, or None (and a problem) where a recipe can't have such a key."""
        name = self.node(event, depth).value
        if not isinstance(name, str):
            self.note(event, "a key must be text", "write it within quotes, or give it a name")
        elif name == "<<":
            self.note(
                event, "merge keys (`<<`) are not allowed", "use `extend:` or repeat the fields"
            )
        elif name in keys:
            first = keys[name]
            where = f"first on line {first.line}" if first.line else ""
            self.note(event, f"`{name}` is there twice{', ' * bool(where)}{where}", "keep one")
        else:
            return name
        return None

    def alias(self, event: Any) -> Node:
        if event.anchor not in self.anchors:
            self.stop(
                event, f"`*{event.anchor}` refers to nothing", f"write `&{event.anchor}` first"
            )
        found = self.anchors[event.anchor]
        if found is None:
            self.stop(event, f"`*{event.anchor}` contains itself", "repeat the fields instead")
        node, size = found
        self.grow(event, size)
        return node

    def grow(self, event: Any, size: int) -> None:
        self.count += size
        if self.count > MAX_NODES:
            self.stop(
                event, f"more than {MAX_NODES:,} values, aliases included", "use fewer aliases"
            )

    def at(self, event: Any) -> Position:
        return self.place(event.start_mark.line + 1, event.start_mark.column + 1)

    def note(self, event: Any, what: str, fix: str) -> None:
        self.problems.append(Problem(what, fix, at=self.at(event)))

    def stop(self, event: Any, what: str, fix: str) -> NoReturn:
        self.note(event, what, fix)
        raise RequestError(self.problems)


def _syntax_problem(error: yaml.YAMLError, text: str, place: Place) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        line = text.encode()[: error.position].count(b"\n") + 1
        return Problem("a character that YAML does not allow", "remove it", at=place(line, 1))
    mark = getattr(error, "problem_mark", None)
    at = place(mark.line + 1, mark.column + 1) if mark else place(1, 1)
    said = str(getattr(error, "problem", None) or "it can't be read")
    fix = next((fix for sign, fix in _FIXES.items() if sign in said), "")
    return Problem(
        f"not valid YAML: {said}", fix or "check indentation, quotes and brackets", at=at
    )
