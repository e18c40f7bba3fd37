"""Gate rules from a file of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bequest.core.errors import Position, Problem, RequestError
from bequest.recipe.syntax import parse
from bequest.recipe.tree import plain

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 2**20


def read_rules(path: Path) -> list[str]:
    """The rules in a file: a YAML list, a recipe's `gate:`, or (any other ending) one a line.

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
        lines = (line.strip() for line in text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]
    found = plain(parse(text, lambda line, column: Position(str(path), line, column)))
    rules = found.get("gate") if isinstance(found, dict) else found
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
        raise RequestError(Problem(f"{path} holds no list of rules", "write `- accuracy(…) >= …`"))
    return rules
