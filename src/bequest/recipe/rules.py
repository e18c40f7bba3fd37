"""Gate rules from a file of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.core.errors import Position, Problem, RequestError
from bequest.recipe.syntax import parse

if TYPE_CHECKING:
    from pathlib import Path

    from bequest.recipe.tree import Node

MAX_BYTES = 2**20


def read_rules(path: Path) -> list[tuple[Position, str]]:
    """The rules in a file, each with where it stands.

    They are a YAML list, a recipe's `gate:`, or (any other ending) one a line.

    Empty lines and lines that begin with # are left out.

    Raises:
        RequestError: the file can't be read, or holds no rules.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode()
    except OSError as error:
        raise RequestError(Problem(f"{path} can't be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise RequestError(Problem(f"{path} is not UTF-8", "save it as UTF-8")) from error
    if len(text) > MAX_BYTES:
        raise RequestError(Problem(f"{path} is larger than 1 MiB", "is this the right file?"))
    if path.suffix not in (".yaml", ".yml"):
        lines = enumerate(map(str.strip, text.splitlines()), 1)
        return [
            (Position(str(path), number, 1), line)
            for number, line in lines
            if line and not line.startswith("#")
        ]
    found = parse(text, lambda line, column: Position(str(path), line, column))
    rules = found.mapping.get("gate", found)
    if not isinstance(rules.value, list):
        raise RequestError(_no_list(path))
    return [_rule(path, node) for node in rules.value]


def _rule(path: Path, node: Node) -> tuple[Position, str]:
    if not isinstance(node.value, str):
        raise RequestError(_no_list(path))
    return node.at, node.value


def _no_list(path: Path) -> Problem:
    return Problem(f"{path} holds no list of rules", "write `- accuracy(…) >= …`")
