"""Docstrings and schemas as Markdown: what the pages made from the code have in common."""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TERM = re.compile(r"^([a-z_][\w]*(?:, [a-z_]\w*)*|[A-Z]\w+): +(?=\S)")
_LIMITS = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
    ("minItems", "at least {} long"),
    ("maxItems", "at most {} long"),
)


def prose(text: str | None) -> str:
    """A docstring as Markdown: `name: what it is` becomes a list, indented blocks stay."""
    blocks = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(filter(None, map(_block, blocks)))


def _block(block: str) -> str:
    if block.startswith("    "):
        return f"```text\n{inspect.cleandoc(block)}\n```"
    if block.startswith("= "):
        return f"```text\n{block}\n```"
    heading, _, rest = block.partition("\n")
    if heading == "Raises:":
        return "Raises:\n\n" + _items(inspect.cleandoc(rest))
    return _items(block) if _TERM.match(block) else escaped(_joined(block))


def _items(block: str) -> str:
    """One list item for each line that begins with a term; the others go on with it."""
    items: list[str] = []
    for line in block.splitlines():
        found = _TERM.match(line)
        if found or not items:
            term = f"`{found[1]}`: " if found else ""
            items.append(term + escaped(line[found.end() if found else 0 :]))
        else:
            items[-1] += " " + escaped(line.strip())
    return "\n".join(f"- {item}" for item in items)


def _joined(block: str) -> str:
    return " ".join(line.strip() for line in block.splitlines())


def escaped(text: str) -> str:
    """Text whose characters mean nothing to Markdown, except between backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part
        if part.startswith("`")
        else re.sub(r"([*_\[\]\\|])", r"\\\1", part).replace("<", "&lt;")
        for part in parts
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; empty where there are no rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *lines])


def fields_table(schema: dict[str, Any]) -> str:
    """Every field of a JSON Schema: name, type, default, range, description."""
    needed = schema.get("required", [])
    rows = [
        (
            f"`{name}`",
            type_of(field),
            "**required**" if name in needed else default_of(field),
            range_of(field),
            escaped(field.get("description", "")),
        )
        for name, field in schema.get("properties", {}).items()
    ]
    return table(("field", "type", "default", "range", "what it does"), rows)


def type_of(field: dict[str, Any]) -> str:
    """What a value looks like in YAML."""
    if "anyOf" in field:
        kinds = [type_of(one) for one in field["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in field:
        return f"`{field['$ref'].rpartition('/')[2]}`"
    if field.get("type") == "array":
        inner = field.get("items") or next(iter(field.get("prefixItems", [])), {})
        return f"list of {type_of(inner)}" if inner else "list"
    if "enum" in field:
        return "word"
    names = {"object": "mapping", "boolean": "true or false", "integer": "whole number",
             "string": "text"}  # fmt: skip
    kind = str(field.get("type", "any"))
    return names.get(kind, kind)


def default_of(field: dict[str, Any]) -> str:
    """The default as one would write it in YAML; a dash where there is none to write."""
    value = field.get("default")
    return "–" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def range_of(field: dict[str, Any]) -> str:
    """The limits of a value, or of the items of a list."""
    found = [words.format(field[key]) for key, words in _LIMITS if key in field]
    if "enum" in field:
        found.append(" ".join(f"`{each}`" for each in field["enum"]))
    inner = [*field.get("anyOf", []), field.get("items", {})]
    found += [range_of(one) for one in inner if one and isinstance(one, dict)]
    return ", ".join(dict.fromkeys(filter(None, found)))
