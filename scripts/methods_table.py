"""The table of methods in README.md: written from the methods themselves, or checked.

`python scripts/methods_table.py` writes it between its two marks, `--check` only compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bequest.core.find import find, known

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- methods: begin -->", "<!-- methods: end -->"


def table() -> str:
    """One row a method, by family and name."""
    rows = ["| method | family | what it does | source |", "|---|---|---|---|"]
    for entry in sorted(known("methods").values(), key=lambda entry: (entry.family, entry.name)):
        method = find("methods", entry.name)
        kind = "" if method.status == "faithful" else f" ({method.status})"
        rows.append(
            f"| `{entry.name}`{kind} | {entry.family} | {entry.summary} | {method.source} |"
        )
    return "\n".join(rows)


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
