"""`bequest schema`: the JSON Schema of recipes, for editors."""

from __future__ import annotations

from bequest.cli.output import Json, print_json


def schema(as_json: Json = True) -> None:
    """Print the JSON Schema of recipes, so that an editor completes and checks them."""
    from bequest.recipe.jsonschema import json_schema

    del as_json  # it is JSON in any case
    print_json(json_schema())
