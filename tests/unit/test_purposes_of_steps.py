"""A task may be there for another purpose in each step."""

from __future__ import annotations

import pytest

import bequest
from bequest.core.errors import RequestError
from bequest.recipe.check import load

MODELS = {"student": {"use": "mlp", "hidden": [6]}}
TASKS = {"kept": {"use": "digits"}, "secret": {"use": "wine", "purpose": "forget"}}


def recipe(tasks, method="finetune"):
    step = {"name": "one", "method": {"use": method}, "tasks": tasks}
    return {"models": MODELS, "tasks": TASKS, "steps": [step]}


def test_a_list_keeps_each_tasks_own_purpose():
    (step,) = load(recipe(["kept", "secret"])).steps
    assert step.tasks == ("kept", "secret")
    assert step.purposes == {"kept": "learn", "secret": "forget"}
    assert step.with_purpose("forget") == ("secret",)


def test_lists_under_purposes_change_them_in_this_step():
    plan = load(recipe({"learn": ["secret", "kept"]}))
    assert plan.steps[0].purposes == {"secret": "learn", "kept": "learn"}
    assert plan.steps[0].tasks == ("secret", "kept")
    assert plan.tasks["secret"].purpose == "forget"


def test_the_resolved_recipe_says_the_same_and_is_one_itself():
    plan = load(recipe({"retain": ["kept"], "forget": ["secret"]}, "gold"))
    again = load(plan.resolved)
    assert again.steps[0].purposes == plan.steps[0].purposes
    assert again.digest == plan.digest


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ({"learns": ["kept"]}, "did you mean `learn`"),
        ({"learn": ["kepd"]}, "did you mean `kept`"),
        ({"learn": ["kept", "kept"]}, "two purposes"),
        ({"learn": ["kept"], "forget": ["kept"]}, "two purposes"),
        ({"learn": "kept"}, "must be a list"),
        ({"forget": ["kept"]}, "needs a task with the purpose `learn`"),
        ({}, "needs a task with the purpose `learn`"),
    ],
)
def test_mistakes_are_told(tasks, said):
    with pytest.raises(RequestError) as caught:
        load(recipe(tasks))
    assert said in str(caught.value)


@pytest.mark.usefixtures("workdir")
def test_methods_see_the_purpose_of_the_step():
    turned = {"use": "rotations", "angles": [0, 90], "of": {"use": "digits"}, "purpose": "retain"}
    run = bequest.run(
        {
            "models": MODELS,
            "tasks": {"digits": turned},
            "steps": [
                {"name": "a", "method": {"use": "finetune"}, "tasks": {"learn": ["digits-2"]}},
                {"name": "b", "method": {"use": "gold"}, "tasks": {"retain": ["digits-1"]}},
            ],
            "fit": {"epochs": 1},
        },
        out="run",
    )
    learned = {row.step: row.learned for row in run.matrix.rows}
    assert learned["a"] == "digits-2"
