"""How to get the same again: command, recipe, versions, seeds, fingerprints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.report.page.html import Html, join, table, tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def reproduce(record: Mapping[str, Any]) -> Html:
    """The section's content, from run.json."""
    import yaml

    file = f"{record['name']}.yaml"
    recipe = yaml.safe_dump(record["recipe"], sort_keys=False, allow_unicode=True)
    tasks = record.get("tasks", {})
    return join([
        tag("p", "Save the recipe below as ", tag("code", file), " and run"),
        tag("pre", tag("code", f"bequest run {_quoted(file)}")),
        tag("details", tag("summary", "The recipe, with every default filled in"),
            tag("pre", tag("code", recipe))),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value))
                    for name, value in _facts(record))),
        table(("task", "samples", "fingerprint"),
              ([name, _samples(task), tag("code", str(task["fingerprint"])[:16])]
               for name, task in tasks.items()), class_="stack") if tasks else None,
    ])  # fmt: skip


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "seeds", ", ".join(map(str, record["seeds"]))
    yield "recipe digest", tag("code", str(record["digest"])[:16])
    yield "took", f"{record.get('seconds', 0):.1f} s"
    for name, value in record.get("versions", {}).items():
        yield f"version of {name}", str(value)
    for name, value in record.get("machine", {}).items():
        yield str(name), str(value)


def _samples(task: Mapping[str, Any]) -> str:
    return ", ".join(f"{count:,} {side}" for side, count in task["samples"].items())


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)
