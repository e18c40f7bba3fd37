"""Pages made from the code: one for each method, model and task, with an index of each."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from docs_words import escaped, fields_table, prose, table

from bequest.core.find import Kind, find, known
from bequest.core.live import PROTOCOLS
from bequest.core.parts import STATUSES, Method, Requires
from bequest.recipe.names import recipe_names, recipe_path
from bequest.runner.work import source_of, source_of_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.core.find import Entry

EVIDENCE = Path(__file__).parents[1] / "evidence"
TITLES = {"methods": "Methods", "models": "Models", "tasks": "Task kinds"}
INTRODUCTIONS = {
    "methods": "What a step of a recipe does: `method: {use: NAME}`, or `use: my_file:Mine` for "
    "[one of your own](../../guides/own-method.md).",
    "models": "What a recipe starts from, under `models:`. One of your own is a function that "
    "returns a torch module: `use: my_file:build` "
    "([how](../../guides/own-data.md#your-own-model)).",
    "tasks": "What models learn and are asked, under `tasks:`; [Tasks](../../tasks.md) says which "
    "is for what. One of your own is a class: `use: my_file:Mine` "
    "([how](../../guides/own-data.md#data-of-any-other-form)).",
}


def pages() -> Iterator[tuple[str, str]]:
    """Path below `docs/` and text of every page."""
    for kind in INTRODUCTIONS:
        folder = f"reference/{kind}"
        yield f"{folder}/index.md", _index(kind)
        write = _method if kind == "methods" else _part
        for name in known(kind):
            yield f"{folder}/{name}.md", write(kind, name)


def _index(kind: Kind) -> str:
    entries = known(kind).values()
    parts = [f"# {TITLES[kind]}", INTRODUCTIONS[kind]]
    for family in sorted({entry.family for entry in entries}):
        own = [entry for entry in entries if entry.family == family]
        parts += [f"## {family}"] if family else []
        parts.append(_listed(kind, own))
    return "\n\n".join(parts) + "\n"


def _listed(kind: Kind, entries: list[Entry]) -> str:
    status = ("status",) if kind == "methods" else ()
    rows = [
        (
            f"[`{entry.name}`]({entry.name}.md)",
            escaped(entry.summary),
            *(str(getattr(find(kind, entry.name), each)) for each in status),
        )
        for entry in entries
    ]
    return table(("name", "what it is", *status), rows)


def _part(kind: Kind, name: str) -> str:
    part = find(kind, name)
    parts = [f"# `{name}`", prose(part.__doc__), _facts(part), *_settings(part)]
    claim = ["## The claim, measured", _claim(name)] if known(kind)[name].family == "audits" else []
    return "\n\n".join([*filter(None, parts), *_used_by(kind, name), *claim]) + "\n"


def _facts(part: Any) -> str:
    facts = []
    if hasattr(part, "answers"):
        answers = [f"`{each}` ({escaped(PROTOCOLS[each])})" for each in sorted(part.answers)]
        facts.append(f"- Answers: {'; '.join(answers)}")
        facts.append(f"- Takes: {', '.join(sorted(part.takes)) or 'inputs of any kind'}")
    elif part.asks:
        facts.append(f"- Asks: `{part.asks}` ({escaped(PROTOCOLS[part.asks])})")
        facts.append(f"- Inputs: {part.kind or 'as the task it is made from'}")
    if status := getattr(part, "status", ""):
        facts.append(f"- Status: **{status}**{_meaning(status)}")
    if getattr(part, "source", ""):
        facts.append(f"- Source: {escaped(part.source)}")
    return "\n".join(facts)


def _settings(part: Any) -> Iterator[str]:
    schema = part.model_json_schema()
    yield f"## {'Hyper-parameters' if issubclass(part, Method) else 'Settings'}"
    yield fields_table(schema) or "There are none."


def _used_by(kind: Kind, name: str) -> Iterator[str]:
    found = [each for each in recipe_names() if name in _named(kind, each)]
    if found:
        yield "## In recipes"
        yield "\n".join(f"- `bequest show {each} --recipe`" for each in found)


def _named(kind: Kind, recipe: str) -> set[str]:
    """What a built-in recipe names with `use:` in one section, nested ones among them."""
    told = yaml.safe_load(recipe_path(recipe).read_text(encoding="utf-8"))
    if kind == "methods":
        methods = [told.get("method"), *(step["method"] for step in told.get("steps", []))]
        return {each["use"] for each in methods if each}
    return {use for each in told[kind].values() for use in _uses(each)}


def _uses(part: dict[str, Any]) -> Iterator[str]:
    yield part["use"]
    if isinstance(part.get("of"), dict):  # or the name of another part, which is counted by itself
        yield from _uses(part["of"])


def _method(kind: Kind, name: str) -> str:
    method = find(kind, name)
    about = inspect.getmodule(method).__doc__
    parts = [
        f"# `{name}`",
        prose(method.__doc__),
        f"- Status: **{method.status}**{_meaning(method.status)}\n"
        f"- Source: {escaped(method.source)}",
        prose(about),
        *_stages(method),
        "## Models it works on",
        _roles(method),
        "## What it needs",
        _requirements(method),
        *_settings(method),
        *_recipe(name),
        "## The claim, measured",
        _claim(name),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _meaning(status: str) -> str:
    return f" ({STATUSES[status]})"


def _stages(method: Any) -> Iterator[str]:
    if said := inspect.getdoc(method.transfer):
        yield "## What it yields"
        yield prose(said)


def _roles(method: Any) -> str:
    rows = [
        (
            f"`{name}`",
            escaped(role.about) + (" (a list)" if role.many else ""),
            " or ".join(f"`{each}`" for each in role.answers) or "anything",
            "yes" if role.learns else "no, frozen",
        )
        for name, role in method.roles.items()
    ]
    return table(("role", "what it is", "must answer", "learns"), rows)


def _requirements(method: Any) -> str:
    needs: Requires = method.requires
    least = [f"at least {needs.least_tasks} tasks" if needs.least_tasks > 1 else "a task"]
    first, *others = needs.purposes
    lines = [
        f"{least[0]} with `purpose: {first}`",
        *(f"a task with `purpose: {each}`" for each in others),
    ]
    if needs.optimizer:
        lines.append(f"the optimiser `{needs.optimizer}`; its mathematics holds for no other")
    if needs.plain:
        lines.append("neither momentum nor weight decay")
    if needs.validation:
        lines.append("a validation split in the tasks it learns")
    if method.fit_defaults:
        told = json.dumps(dict(method.fit_defaults))
        lines.append(f"unless the recipe says otherwise, it is fitted with `{told}`")
    return "\n".join(f"- {line}" for line in lines)


def _recipe(name: str) -> Iterator[str]:
    yield "## Its recipe"
    if name not in recipe_names():
        yield "It has none of its own."
        return
    text = recipe_path(name).read_text(encoding="utf-8")
    lines = _to_edit(text)
    yield f"```sh\nbequest run {name}\nbequest show {name} --recipe > mine.yaml\n```"
    yield f'```yaml linenums="1" hl_lines="{" ".join(map(str, lines))}"\n{text}```'
    yield (
        "**Your own model and data:** write the recipe to a file as above and edit the marked "
        "lines: [models](../models/index.md) and [tasks](../tasks/index.md). "
        "Then `bequest run mine.yaml`."
    )


def _to_edit(text: str) -> list[int]:
    """Lines of the entries of `models:` and `tasks:`, counted from 1."""
    found = []
    root = yaml.compose(text)
    for key, section in root.value:
        if key.value in ("models", "tasks"):
            found += [entry.start_mark.line + 1 for entry, _ in section.value]
    return found


def _claim(name: str) -> str:
    path = EVIDENCE / f"{name}.json"
    if not path.exists():
        return "Nothing has been measured yet."
    record = json.loads(path.read_text(encoding="utf-8"))
    present = record["source"] == _source(name)
    age = "with this code" if present else "with an **earlier version** of this code"
    rows = [
        (
            escaped(each["demand"]),
            f"{each['mean']:.1f}",
            f"{each['interval'][0]:.1f} … {each['interval'][1]:.1f}",
            "held" if each["held"] else "**did not hold**",
        )
        for each in record["demands"]
    ]
    return "\n\n".join(
        [
            f"On a controlled problem, under {len(record['values'])} seeds, {age} "
            f"(torch {record['torch']}); in {record['unit']}. Each demand must hold under every "
            "seed, and the 95 % interval of the mean difference must exclude what chance gives.",
            table(("demand", "mean difference", "95 % interval", "verdict"), rows),
            table(("measured", "mean over seeds"), _means(record["values"])),
            f"The problem is in `tests/claims/test_{name}.py`, "
            f"every value in `evidence/{name}.json`.",
        ]
    )


def _source(name: str) -> str:
    if name in known("methods"):
        return source_of(find("methods", name)())["method source"]
    return source_of_task(find("tasks", name))


def _means(values: dict[str, dict[str, float]]) -> Iterator[tuple[str, str]]:
    seeds = list(values.values())
    for name in seeds[0]:
        yield f"`{name}`", f"{sum(seed[name] for seed in seeds) / len(seeds):.1f}"


def family_of(path: str) -> str:
    """The family of the method that a page is about; empty for any other page."""
    *folder, name = path.removesuffix(".md").split("/")
    return known("methods")[name].family if folder[-1:] == ["methods"] and name != "index" else ""
