"""The table of methods in README.md: written from the methods themselves, or checked.

`python scripts/methods_table.py` writes it between its two marks, `--check` only compares.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from bequest.core.find import class_name, find, known
from bequest.recipe.names import recipe_names, recipe_path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- methods: begin -->", "<!-- methods: end -->"


def table() -> str:
    """One row a method, by family and name, then the audits, with the proofs each has."""
    rows = [
        "| method | family | what it does | status | golden | claim | recipe | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    audits = [entry for entry in known("tasks").values() if entry.family == "audits"]
    methods = sorted(known("methods").values(), key=lambda entry: (entry.family, entry.name))
    for entry in [*methods, *audits]:
        method = find("tasks" if entry in audits else "methods", entry.name)
        proofs = " | ".join("✓" if there else "–" for there in proofs_of(entry.name))
        rows.append(
            f"| `{entry.name}` | {entry.family} | {entry.summary} | {method.status} | {proofs} "
            f"| {method.source} |"
        )
    return "\n".join(rows)


def proofs_of(name: str) -> tuple[bool, bool, bool]:
    """Whether there are golden vectors, a claim that held under all seeds, and a recipe."""
    tests = [path.read_text() for path in ROOT.glob("tests/golden/test_*.py")]
    golden = (re.search(rf"\b{name}\b|\b{class_name(name)}\b", text) for text in tests)
    evidence = ROOT / "evidence" / f"{name}.json"
    held = evidence.exists() and bool(json.loads(evidence.read_text())["held"])
    used = (f"use: {name}," in recipe_path(each).read_text() for each in recipe_names())
    return any(golden), held, name in recipe_names() or (name in known("tasks") and any(used))


def with_table(text: str) -> str:
    """The text with the table as it should be between the marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"README.md has no table of methods: put {BEGIN} and {END} where it belongs")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(*arguments: str) -> None:
    """Write the table, or say that it is out of date."""
    text = README.read_text(encoding="utf-8")
    wanted = with_table(text)
    if "--check" not in arguments:
        README.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        sys.exit(
            "README.md: the table of methods is out of date; run python scripts/methods_table.py"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
