"""Reference lines on demand: the steps that `lines:` adds."""

from __future__ import annotations

import pytest

import bequest
from bequest.core.errors import RequestError
from bequest.recipe.check import load

CLOUDS = {"a": {"use": "toys:Cloud"}, "b": {"use": "toys:Cloud", "shift": 1.0}}
BASE = {
    "models": {"student": {"use": "mlp", "hidden": [4]}, "other": {"use": "mlp", "hidden": [5]}},
    "tasks": CLOUDS,
    "fit": {"epochs": 1},
}


def lines(*names, **more):
    return BASE | {"method": {"use": "sequential"}, "lines": list(names)} | more


def refused(given):
    with pytest.raises(RequestError) as caught:
        load(given)
    return str(caught.value)


def test_lines_add_a_step_like_the_first_that_learns_a_sequence():
    first = {
        "name": "teach", "method": {"use": "finetune"}, "tasks": ["a"],
        "models": {"student": "other"},
    }  # fmt: skip
    second = {
        "name": "main",
        "method": {"use": "replay", "heads": "per_task"},
        "models": {"student": "teach.student"},
        "tasks": ["b", "a"],
        "fit": {"epochs": 7},
    }
    plan = load(BASE | {"steps": [first, second], "lines": ["joint", "single"]})
    assert [step.name for step in plan.steps] == ["teach", "main", "joint", "single"]
    _, main, *added = plan.steps
    for step in added:
        assert step.line == step.name == step.method_name
        assert (step.models, step.tasks, step.fit) == (main.models, main.tasks, main.fit)
        assert step.method.heads == "per_task"


def test_a_recipe_with_one_method_may_have_lines_and_resolves_to_steps():
    plan = load(lines("single"))
    assert [step.name for step in plan.steps] == ["sequential", "single"]
    again = load(plan.resolved)
    assert again.resolved == plan.resolved
    assert again.digest == load(lines("single")).digest


def test_a_step_of_that_name_is_taken_as_it_is():
    steps = [
        {"name": "s", "method": {"use": "sequential"}},
        {"name": "joint", "method": {"use": "joint", "prefixes": True}, "line": "joint"},
    ]
    plan = load(BASE | {"steps": steps, "lines": ["joint", "single"]})
    assert [step.name for step in plan.steps] == ["s", "joint", "single"]
    assert plan.steps[1].method.prefixes


def test_the_gate_knows_the_lines():
    from bequest.runner.preparing import inspect

    inspect(lines("joint", gate=["accuracy(a) vs joint >= -50%"]))


def test_mistakes_in_lines_are_said():
    assert (
        "lines[0]: must be one of single, joint, gold, but is 'jiont'; did you mean `joint`?"
        in (refused(lines("jiont")))
    )
    assert "lines[1]: 'joint' is there twice" in refused(lines("joint", "joint"))
    said = refused(BASE | {"method": {"use": "finetune"}, "lines": ["joint"]})
    assert "lines[0]: no step learns a sequence of tasks" in said


@pytest.mark.usefixtures("workdir")
def test_lines_are_trained_once_and_measured_in_the_same_matrix():
    run = bequest.run(lines("single", "joint"), out="run")
    rows = [row for row in run.matrix.rows if row.line != "given"]
    assert [(row.line, row.name, row.learned) for row in rows] == [
        ("main", "after-a", "a"),
        ("main", "after-b", "b"),
        ("single", "only-a", "a"),
        ("single", "only-b", "b"),
        ("joint", "together", None),
    ]
    index = {row.name: number for number, row in enumerate(run.matrix.rows)}
    assert run.matrix.has("accuracy", index["only-a"], "a")
    assert not run.matrix.has("accuracy", index["only-a"], "b")


FORGETTING = {
    "models": {"base": {"use": "mlp", "hidden": [4]}},
    "tasks": {
        "all": {"use": "toys:Cloud", "shift": 2.0},
        "kept": {"use": "toys:Cloud", "purpose": "retain"},
        "secret": {"use": "toys:Cloud", "shift": 1.0, "purpose": "forget"},
    },
    "fit": {"batch_size": 16},
    "steps": [
        {"name": "teach", "method": {"use": "finetune"}, "models": {"student": "base"},
         "fit": {"epochs": 3}},
        {"name": "unlearn", "method": {"use": "toys:ToyUnlearn"},
         "models": {"base": "teach.student"}, "fit": {"epochs": 1}},
    ],
    "lines": ["gold"],
}  # fmt: skip


def test_gold_goes_back_to_the_input_model_and_is_trained_as_that_was():
    *_, unlearn, gold = load(FORGETTING).steps
    assert (gold.name, gold.line, gold.method_name) == ("gold", "gold", "gold")
    assert gold.models == {"student": "base"}
    assert gold.tasks == unlearn.tasks
    assert (gold.fit.epochs, unlearn.fit.epochs) == (3, 1)
    assert load(load(FORGETTING).resolved).digest == load(FORGETTING).digest


def test_gold_beside_a_step_that_takes_an_input_model_has_its_fit_settings():
    only = {**FORGETTING, "steps": [FORGETTING["steps"][1] | {"models": {"base": "base"}}]}
    assert [step.fit.epochs for step in load(only).steps] == [1, 1]


def test_gold_needs_a_step_that_forgets():
    assert "lines[0]: no step forgets a task; it stands beside a method of unlearning" in (
        refused(lines("gold"))
    )
    assert "lines[1]: no step learns a sequence of tasks" in (
        refused(FORGETTING | {"lines": ["gold", "single"]})
    )


def test_gold_says_nothing_of_its_own_where_a_reference_leads_nowhere():
    first, second = FORGETTING["steps"]
    around = [first | {"models": {"student": "unlearn.base"}}, second]
    said = refused(FORGETTING | {"steps": around})
    assert "step `unlearn` does not come before this one" in said


@pytest.mark.usefixtures("workdir")
def test_gold_is_trained_and_stands_on_a_line_of_its_own():
    matrix = bequest.run(FORGETTING, out="run").matrix
    (row,) = [row for row in matrix.rows if row.step == "gold"]
    assert (row.name, row.line, row.of, row.after) == ("never-saw", "gold", "base", 0)


@pytest.mark.usefixtures("workdir")
def test_gold_sees_nothing_of_what_is_forgotten():
    def scores(shift):
        tasks = {
            "kept": {"use": "toys:Cloud", "purpose": "retain"},
            "secret": {"use": "toys:Cloud", "shift": shift, "purpose": "forget"},
        }
        models = {"student": {"use": "mlp", "hidden": [4]}}
        given = {"models": models, "tasks": tasks, "method": {"use": "gold"}, "fit": {"epochs": 2}}
        matrix = bequest.run(given, out=f"run-{shift}").matrix
        return [matrix.value("cross_entropy", row, "kept").value for row in (0, 1)]

    one, other = scores(1.0), scores(3.0)
    assert one == other
    assert one[1] < one[0]
