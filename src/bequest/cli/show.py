"""`bequest show NAME`: a recipe's text, or the fields of a method, model, task or metric."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic_core import to_jsonable_python

from bequest.cli.output import Json, print_json
from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.core.find import find, known
from bequest.recipe.names import known_recipe, recipe_names, recipe_path, recipe_summary

if TYPE_CHECKING:
    from bequest.core.find import Kind
    from bequest.core.parts import Part

_KINDS: tuple[Kind, ...] = ("methods", "models", "tasks", "indexes")


def show(
    name: Annotated[str, typer.Argument(help="A recipe, method, model, task or metric.")],
    recipe: Annotated[
        bool, typer.Option("--recipe", help="Show the recipe of that name, not the method.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a name stands for: a recipe to copy, or fields with defaults and ranges."""
    described = _describe(name, recipe_wanted=recipe)
    if as_json:
        print_json(described)
    elif described["kind"] == "recipes":
        typer.echo(described["text"], nl=False)
    else:
        typer.echo(_text(described))


def _describe(name: str, *, recipe_wanted: bool) -> dict[str, Any]:
    from bequest.measure.contrasts import METRICS

    if recipe_wanted or not any(name in known(kind) for kind in _KINDS):
        if recipe := known_recipe(name):
            text = recipe_path(recipe).read_text(encoding="utf-8")
            summary = recipe_summary(recipe)
            return {"kind": "recipes", "name": recipe, "summary": summary, "text": text}
        if name in METRICS and not recipe_wanted:
            return _metric(METRICS[name])
    for kind in () if recipe_wanted else _KINDS:
        if name in known(kind):
            return _part(kind, name)
    names = [*recipe_names(), *METRICS, *(each for kind in _KINDS for each in known(kind))]
    meant = did_you_mean(name, names)
    raise RequestError(Problem(f"nothing is called `{name}`", "see `bequest list`", meant=meant))


def _metric(metric: Any) -> dict[str, Any]:
    return {
        "kind": "metrics",
        "name": metric.name,
        "summary": metric.definition,
        "unit": metric.unit,
        "better": metric.better,
        "source": metric.source,
        "needs": list(metric.needs),
    }


def _part(kind: Kind, name: str) -> dict[str, Any]:
    part = find(kind, name)
    about: dict[str, Any] = {
        "kind": kind,
        "name": name,
        "summary": known(kind)[name].summary,
        "about": inspect.cleandoc(part.__doc__ or ""),
    }
    if kind == "methods":
        about["source"], about["status"] = part.source, part.status
        about["roles"] = {role: which.about for role, which in part.roles.items()}
    if recipes := [each for each in recipe_names() if each == name]:
        about["recipe"] = f"bequest show {recipes[0]} --recipe"
    about["fields"] = _fields(part) if part.model_fields else {}
    return about


def _fields(part: type[Part]) -> dict[str, Any]:
    """The fields as JSON Schema, with every default; a field without one is required."""
    found = part.model_json_schema()["properties"]
    for name, info in part.model_fields.items():
        if not info.is_required():
            default = info.get_default(call_default_factory=True, validated_data={})
            found[info.alias or name]["default"] = to_jsonable_python(default)
    return dict(found)


def _text(described: dict[str, Any]) -> str:
    lines = [f"{described['name']} ({described['kind'][:-1]})", described.get("about", "")]
    if not described.get("about"):
        lines[1] = described["summary"]
    facts = ("source", "status", "unit", "better", "recipe")
    lines += [f"{key}: {described[key]}" for key in facts if described.get(key)]
    lines += [f"role {role}: {about}" for role, about in described.get("roles", {}).items()]
    for name, field in described.get("fields", {}).items():
        lines.append(f"  {name} = {field.get('default', '(required)')!s}{_range(field)}")
        if field.get("description"):
            lines.append(f"      {field['description']}")
    return "\n".join(lines)


def _range(field: dict[str, Any]) -> str:
    limits = {
        "minimum": "≥ {}",
        "exclusiveMinimum": "> {}",
        "maximum": "≤ {}",
        "exclusiveMaximum": "< {}",
    }
    found = [words.format(field[key]) for key, words in limits.items() if key in field]
    if "enum" in field:
        found.append("one of " + ", ".join(map(str, field["enum"])))
    return f"   ({', '.join(found)})" if found else ""
