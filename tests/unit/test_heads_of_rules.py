"""Gate rules about tasks that have no head by then, found before work starts."""

from __future__ import annotations

import pytest

from bequest.core.errors import RequestError
from bequest.runner.preparing import inspect, prepare

CLOUD = {"use": "toys:Cloud"}
TASKS = {name: {**CLOUD, "shift": shift} for shift, name in enumerate(("a", "b", "c"))}


def recipe(*rules, heads="per_task", **more):
    return {
        "models": {"student": {"use": "mlp", "hidden": [4]}},
        "tasks": TASKS,
        "steps": [
            {"name": "first", "method": {"use": "sequential", "heads": heads}, "tasks": ["a", "b"]},
            {"name": "second", "method": {"use": "ewc", "heads": heads}, "tasks": ["c", "b"],
             "models": {"student": "first.student"}},
        ],
        "gate": list(rules),
    } | more  # fmt: skip


def refused(given):
    with pytest.raises(RequestError) as caught:
        prepare(*inspect(given))
    return str(caught.value)


@pytest.mark.parametrize(
    ("rule", "where", "learned"),
    [
        ("accuracy(c) @ first >= 0", "first", "a, b"),
        ("accuracy(b) @ first.after-a >= 0", "first.after-a", "a"),
        ("accuracy(c) vs first >= 0", "first", "a, b"),
        ("gain(c) @ second vs first >= 0", "first", "a, b"),
    ],
)
def test_a_rule_about_a_task_without_a_head_is_said_at_its_place(rule, where, learned):
    said = refused(recipe("accuracy(a) >= 0", rule))
    assert "gate[1]: the model has no head for" in said
    assert f"at `{where}`: it was not learned yet; learned by then are {learned}" in said
    assert "gate[0]" not in said


def test_the_end_of_the_line_main_is_meant_without_a_stage():
    steps = recipe()["steps"][:1]
    assert "no head for `c` at the end" in refused(recipe("accuracy(c) >= 0", steps=steps))


def test_a_step_that_has_no_heads_of_its_own_has_those_of_its_student():
    steps = recipe()["steps"][:1]
    tune = {"name": "tune", "method": {"use": "finetune"}, "tasks": ["a"],
            "models": {"student": "first.student"}}  # fmt: skip
    assert "no head for `c` at `tune`" in (
        refused(recipe("accuracy(c) @ tune >= 0", steps=[*steps, tune]))
    )


def test_copies_of_single_know_one_task_each():
    steps = [{"name": "single", "method": {"use": "single", "heads": "per_task"}}]
    prepare(*inspect(recipe("accuracy(b) @ single.only-b >= 0", steps=steps)))
    assert "no head for `a` at `single.only-b`" in (
        refused(recipe("accuracy(a) @ single.only-b >= 0", steps=steps))
    )


def test_rules_that_can_be_judged_pass():
    rules = [
        "accuracy(a) @ first.after-a >= 0",
        "accuracy(b) @ first.after-b vs second >= -1",
        "accuracy(c) >= 0",
        "accuracy(a) >= 0",
        "accuracy(c) @ given.student >= 0",
        "accuracy(c) @ second.after-c >= 0",
        "bwt @ first >= -1",
    ]
    prepare(*inspect(recipe(*rules)))
    shared = recipe("accuracy(c) @ first.after-a >= 0", heads="shared")
    prepare(*inspect(shared))
