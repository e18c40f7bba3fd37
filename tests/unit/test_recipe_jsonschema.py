"""The JSON Schema accepts what the check accepts, and notices a slip of the pen."""

import json

import pytest
from jsonschema import Draft202012Validator

from bequest.core.find import known
from bequest.recipe.jsonschema import json_schema
from bequest.recipe.names import recipe_names
from bequest.recipe.reading import read

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)

GOOD = {
    "schema": 1,
    "models": {"teacher": {"use": "cnn", "width": 32}, "student": {"use": "mine:build", "x": 1}},
    "tasks": {"digits": {"use": "digits", "purpose": "learn"}},
    "method": {"use": "kd", "temperature": 4.0},
    "fit": {"epochs": 20, "optimizer": {"use": "adamw", "lr": 3e-3}},
}
STEP = {"name": "s", "method": {"use": "finetune"}, "models": {"student": "teacher"}}


def valid(**changes):
    changed = {**GOOD, **changes}
    return VALIDATOR.is_valid({name: value for name, value in changed.items() if value != "-"})


def test_it_is_a_schema_that_editors_can_use():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"]
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    described = [
        option.get("description")
        for option in SCHEMA["$defs"]["models"]["properties"]["use"]["anyOf"]
    ]
    assert len(described) == len(known("models")) + 1
    assert all(described)


def test_good_recipes():
    assert valid()
    assert valid(method="-", steps=[STEP])


def test_a_recipe_that_extends_may_leave_things_out():
    assert VALIDATOR.is_valid({"extend": "quickstart", "fit": {"epochs": 1}})
    assert not VALIDATOR.is_valid({"extend": "quickstart", "fit": {"epoch": 1}})
    assert VALIDATOR.is_valid({"extend": "quickstart", "models": {"student": {"width": 2}}})


@pytest.mark.parametrize("name", recipe_names())
def test_built_in_recipes(name):
    VALIDATOR.validate(read(name).data)


@pytest.mark.parametrize(
    "changes",
    [
        {"titel": "x"},
        {"models": "-"},
        {"method": "-"},
        {"steps": [STEP]},
        {"models": {"teacher": {"use": "cnn", "widht": 3}}},
        {"models": {"teacher": {"use": "cn"}}},
        {"models": {"teacher": {"width": 3}}},
        {"models": {"1": {"use": "cnn"}}},
        {"tasks": {"digits": {"use": "digits", "purpose": "lern"}}},
        {"method": {"use": "kd", "temprature": 1}},
        {"method": {"use": "kd", "temperature": "hot"}},
        {"method": "-", "steps": [{**STEP, "fit": {"epoch": 1}}]},
        {"method": "-", "steps": [{**STEP, "method": {"use": "finetun"}}]},
        {"method": "-", "steps": [{**STEP, "method": {}}]},
        {"fit": {"optimizer": {"use": "adamx"}}},
        {"fit": {"epochs": 0}},
    ],
)
def test_slips(changes):
    assert not valid(**changes)
