"""The JSON Schema of recipes, so that editors complete and check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.core.find import find, known
from bequest.recipe.schema import FitSettings, Recipe

if TYPE_CHECKING:
    from bequest.core.find import Kind

_KINDS: tuple[Kind, ...] = ("models", "tasks", "methods")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a recipe, closed for every built-in model, task, method.

    What a `use:` of the user's own (`module:Name`) takes is left open. A recipe that extends
    another one may leave out what the other says.
    """
    schema = Recipe.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs")
    definitions["fit"] = FitSettings.model_json_schema(ref_template="#/$defs/fit/$defs/{model}")
    for kind in _KINDS:
        definitions |= _definitions(kind)
    _refer(schema["properties"], definitions["Step"]["properties"])
    del schema["required"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:bequest:recipe:1",
        **schema,
        "title": "bequest recipe",
        "if": {"required": ["extend"]},
        "else": _complete(),
        "$defs": definitions,
    }


def _refer(recipe: dict[str, Any], step: dict[str, Any]) -> None:
    """Put the closed definitions where the models of `recipe.schema` leave any field open."""
    for name in ("models", "tasks"):
        (pattern,) = recipe[name].pop("patternProperties")
        recipe[name]["propertyNames"] = {"pattern": pattern}
        recipe[name]["additionalProperties"] = {"$ref": f"#/$defs/{name}"}
    for place in (recipe, step):
        place["method"] = _at(place["method"], "methods")
        place["fit"] = _at(place["fit"], "fit")


def _at(field: dict[str, Any], definition: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{definition}", "description": field["description"]}


def _complete() -> dict[str, Any]:
    """What a recipe must have when it extends no other."""
    parts = {
        name: {"additionalProperties": {"$ref": f"#/$defs/complete.{name}"}}
        for name in ("models", "tasks")
    }
    method = {"$ref": "#/$defs/complete.methods"}
    steps = {"items": {"properties": {"method": method}}}
    return {
        "required": ["models", "tasks"],
        "oneOf": [{"required": ["method"]}, {"required": ["steps"]}],
        "properties": {**parts, "method": method, "steps": steps},
    }


def _definitions(kind: Kind) -> dict[str, Any]:
    """The definitions of a kind: any part, what a complete part needs, and each built-in one."""
    parts = {f"{kind}.{name}": _part(kind, name) for name in known(kind)}
    needs = {name: parts[f"{kind}.{name}"].pop("required", []) for name in known(kind)}
    return {
        kind: {
            "type": "object",
            "title": kind[:-1].capitalize(),
            "properties": {"use": {"anyOf": _uses(kind)}},
            "allOf": [_when(name, {"$ref": f"#/$defs/{kind}.{name}"}) for name in known(kind)],
        },
        f"complete.{kind}": {
            "required": ["use"],
            "allOf": [_when(name, {"required": need}) for name, need in needs.items()],
        },
        **parts,
    }


def _part(kind: Kind, name: str) -> dict[str, Any]:
    template = f"#/$defs/{kind}.{name}/$defs/{{model}}"
    part = find(kind, name)
    schema: dict[str, Any] = part.model_json_schema(ref_template=template)
    for field in (field for field, inside in part.inner.items() if inside == kind):
        named = {"type": "string", "description": f"Name of one of the recipe's {kind}."}
        schema["properties"][field] = {"anyOf": [schema["properties"][field], named]}
    schema["properties"] = {"use": {"const": name}, **schema.get("properties", {})}
    return {**schema, "title": name, "description": known(kind)[name].summary}


def _uses(kind: Kind) -> list[dict[str, Any]]:
    built_in = [
        {"const": entry.name, "description": entry.summary} for entry in known(kind).values()
    ]
    own = {"type": "string", "pattern": "^[^:]+:[^:]+$", "description": "Your own: `module:Name`."}
    return [*built_in, own]


def _when(name: str, then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {"use": {"const": name}}, "required": ["use"]}, "then": then}
