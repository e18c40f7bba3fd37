"""Whole recipes: every mistake at once, in plain words, at its place."""

import pytest
from recipe_parts import COPY, HERE, LEARN, Copy, Picture, only, part, problems, recipe, steps

from bequest.core.errors import RequestError
from bequest.recipe.check import load
from bequest.recipe.plan import differences


def test_a_single_method_is_one_step():
    plan = load(recipe(title="x", seeds=[3, 4], gate=["bwt >= 0"], fit={"epochs": 2}))
    (step,) = plan.steps
    assert (plan.title, plan.seeds, plan.gate) == ("x", (3, 4), ("bwt >= 0",))
    assert plan.models["teacher"] == Picture(width=32)
    assert (step.name, step.method_name, step.line) == ("Copy", f"{HERE}:Copy", "main")
    assert step.method == Copy(temperature=2)
    assert step.models == {"teacher": "teacher", "student": "student"}
    assert step.tasks == ("t", "u")
    assert step.fit.epochs == 2


def test_steps_refer_to_earlier_steps():
    plan = load(steps(LEARN, {**COPY, "tasks": ["t"], "line": "alone"}))
    assert plan.steps[1].models == {"teacher": "learn.student", "student": "student"}
    assert (plan.steps[1].tasks, plan.steps[1].line) == (("t",), "alone")


def test_roles_that_hold_many():
    fit = {"optimizer": {"use": "sgd"}}
    blend = {"name": "b", "method": part("Blend"), "fit": fit}
    plan = load(steps(LEARN, {**blend, "models": {"donors": ["teacher", "learn.student"]}}))
    assert plan.steps[1].models["donors"] == ("teacher", "learn.student")
    plan = load(steps({**blend, "models": {"donors": "teacher"}}))
    assert plan.steps[0].models["donors"] == ("teacher",)


def test_fit_layers():
    learn = {**LEARN, "fit": {"batch_size": 3}}
    plan = load(steps(learn, COPY) | {"fit": {"optimizer": {"weight_decay": 0.5}}})
    first, second = (step.fit for step in plan.steps)
    assert (first.epochs, first.batch_size) == (7, 3)
    assert (first.optimizer.use, first.optimizer.lr, first.optimizer.weight_decay) == (
        "sgd",
        0.1,
        0.5,
    )
    assert (second.epochs, second.optimizer.use, second.optimizer.weight_decay) == (
        10,
        "adamw",
        0.5,
    )


def test_another_optimizer_drops_the_settings_of_the_first():
    plan = load(steps({**LEARN, "fit": {"optimizer": {"use": "adam"}, "epochs": None}}))
    assert plan.steps[0].fit.optimizer.lr == 1e-3
    assert plan.steps[0].fit.epochs == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": 1}, "titel: unknown field; known are schema, title, extend, models, tasks, "),
        ({"titel": 1}, "did you mean `title`?"),
        ({"schema": 2}, "schema: must be 1, but is 2"),
        ({"title": 3}, "title: must be text, but is 3"),
        ({"seeds": []}, "seeds: must be a list of at least 1 (it has 0)"),
        ({"seeds": [True]}, "seeds[0]: must be a whole number, but is true"),
        ({"seeds": [0, 1, 0]}, "seeds[2]: 0 is there twice; keep one"),
        ({"seeds": 3}, "seeds: must be a list, but is 3"),
        ({"gate": None}, "gate: must be a list, but is null"),
        (
            {"tasks": {"t": {"use": "csv", "path": "t.csv", "shape": [28, 28]}}},
            "tasks.t.shape: must have 3 values, but has 2; Channels, height and width",
        ),
        ({"gate": "bwt >= 0"}, "but is 'bwt >= 0'; write `gate: ['bwt >= 0']`"),
        ({"fit": {"epochs": "abc"}}, "fit.epochs: must be a whole number, but is 'abc'"),
        ({"fit": {"epochs": "3"}}, "fit.epochs: must be a whole number, but is '3'"),
        ({"fit": {"epochs": 2.5}}, "fit.epochs: must be a whole number, but is 2.5"),
        ({"fit": {"warmup": 1}}, "fit.warmup: must be less than 1, but is 1"),
        ({"fit": {"epoch": 1}}, "fit.epoch: unknown field; known are epochs, steps, batch_size"),
        ({"fit": 3}, "fit: must be a mapping, but is 3"),
        (
            {"fit": {"optimizer": {"use": "adamx"}}},
            "fit.optimizer.use: must be one of adamw, adam, sgd, but is 'adamx'; "
            "did you mean `adam`?",
        ),
        ({"fit": {"optimizer": {"lrr": 1}}}, "fit.optimizer.lrr: unknown field; known are use, lr"),
        ({"method": None}, "method: is missing; write `method:` or `steps:`"),
        ({"steps": [LEARN]}, "steps: a recipe has either one `method` or `steps`, not both"),
        ({"method": {}}, "method.use: is missing; known are"),
        ({"method": {"use": 3}}, "method.use: must be text, but is 3; known are"),
        ({"method": {"use": "Copi"}}, "method.use: unknown method `Copi`; known are"),
        ({"method": part("Copi")}, f"method.use: `{HERE}` has no `Copi`; it has "),
        ({"method": {"use": "no_such_module:X"}}, "method.use: `no_such_module` can't be imported"),
        ({"method": part("Table")}, "it must be a subclass of bequest.core.parts.Method"),
        ({"tasks": {"t": part("build")}}, "it must be a subclass of bequest.core.parts.TaskSpec"),
        (
            {"method": part("Copy", temperature=-1)},
            "method.temperature: must be greater than 0, but is -1",
        ),
        ({"method": part("Copy", temperatur=1)}, "did you mean `temperature`?"),
        ({"tasks": {"t": part("Table")}}, "tasks.t.path: is missing; The file"),
        ({"tasks": {"t": part("Table", path="nowhere")}}, "tasks.t.path: no such file"),
        ({"tasks": {"t": 3}}, "tasks.t: must be a mapping, but is 3"),
        ({"tasks": {}}, "tasks: must be"),
        (
            {"tasks": {"1t": part("Pictures")}},
            "tasks.1t: must be a name (letters, digits, `_` and `-`, no digit first)",
        ),
        (
            {"tasks": {"t": part("Pictures", purpose="retain")}},
            f"tasks: method `{HERE}:Copy` needs a task with the purpose `learn`; "
            "set `purpose: learn` on one of t",
        ),
        (
            {"models": {"student": part("Picture")}},
            f"models.teacher: method `{HERE}:Copy` needs a model here: the model that knows; "
            "add a model named `teacher`",
        ),
        (
            {"models": {"student": part("Picture"), "teacher": part("Embedder")}},
            f"models.teacher: role `teacher` of method `{HERE}:Copy` asks `logits`, "
            f"but model `teacher` ({HERE}:Embedder) answers embed",
        ),
        (
            {"tasks": {"t": part("Table", path="x")}},
            f"models.student.use: {HERE}:Picture takes image, but task `t` gives features; use ",
        ),
    ],
)
def test_one_mistake(changes, message):
    assert any(message in found for found in problems(recipe(**changes)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ["tt"]}, "steps[1].tasks[0]: unknown task `tt`; known are t, u"),
        ({"tasks": ["t", "t"]}, "steps[1].tasks[1]: 't' is there twice; keep one"),
        ({"tasks": ["u"]}, "steps[1].tasks: method"),
        ({"name": "learn"}, "steps[1].name: 'learn' is there twice; keep one"),
        ({"models": {}, "name": None}, "steps[1].name: must be text, but is null"),
        (
            {"models": {"teecher": "teacher"}},
            f"steps[1].models.teecher: method `{HERE}:Copy` has no role `teecher`; "
            "its roles are teacher, student; did you mean `teacher`?",
        ),
        (
            {"models": {"teacher": "studnt"}},
            "steps[1].models.teacher: unknown model `studnt`; known are teacher, student, "
            "and `step.role` of an earlier step; did you mean `student`?",
        ),
        (
            {"models": {"teacher": "learn.teacher"}},
            "steps[1].models.teacher: step `learn` has no role `teacher`; it has student",
        ),
        (
            {"models": {"teacher": "copy.student"}},
            "steps[1].models.teacher: step `copy` does not come before this one; "
            "steps before this one are learn",
        ),
        (
            {"models": {"teacher": "lern.student"}},
            "steps[1].models.teacher: unknown step `lern`; steps before this one are learn; "
            "did you mean `learn`?",
        ),
        (
            {"models": {"teacher": ["teacher", "student"]}},
            "steps[1].models.teacher: must be one model, but is a list of 2",
        ),
        (
            {"models": {"teacher": []}},
            "steps[1].models.teacher: method",
        ),
        (
            {"models": {"teacher": ["a b"]}},
            "steps[1].models.teacher[0]: must be the name of a model, or `step.role` of an "
            "earlier step, but is 'a b'",
        ),
        (
            {"models": {"teacher": 3}},
            "steps[1].models.teacher: must be text or a list, but is 3",
        ),
        ({"fit": {"epochs": 0}}, "steps[1].fit.epochs: must be at least 1, but is 0"),
    ],
)
def test_one_mistake_in_a_step(changes, message):
    assert only(steps(LEARN, {**COPY, **changes})).startswith(message)


def test_a_broken_step_does_not_spoil_the_next():
    broken = {**LEARN, "extra": 1}
    assert only(steps(broken, COPY)).startswith("steps[0].extra: unknown field")
    unknown = {**LEARN, "method": {"use": "nothing"}}
    assert only(steps(unknown, COPY)).startswith("steps[0].method.use: unknown method")


def test_one_result_where_several_would_come():
    donors = {"donors": ["teacher", "student"]}
    fit = {"optimizer": {"use": "sgd"}}
    blend = {"name": "b", "method": part("Blend"), "models": donors, "fit": fit}
    copy = {**COPY, "models": {"teacher": "b.donors"}}
    assert "must be one model, but `b.donors` is several" in only(steps(blend, copy))


def test_protocols_are_followed_through_earlier_steps():
    source = steps(
        {"name": "b", "method": part("Blend"), "models": {"donors": ["e"]}},
        {**COPY, "models": {"teacher": "b.donors", "student": "e"}},
    )
    source["models"]["e"] = part("Embedder")
    source["fit"] = {"optimizer": {"use": "sgd"}}
    assert "but model `e`" in "\n".join(problems(source))


def test_steps_that_double_their_donors_cost_nothing():
    def blend(number):
        donors = [f"b{number - 1}.donors"] * 2 if number else ["teacher"]
        return {"name": f"b{number}", "method": part("Blend"), "models": {"donors": donors}}

    plan = load(steps(*map(blend, range(60))) | {"fit": {"optimizer": {"use": "sgd"}}})
    assert plan.steps[59].models["donors"] == ("b58.donors", "b58.donors")


@pytest.mark.parametrize(
    ("fit", "place"),
    [
        ({}, "steps[0].method: "),
        ({"fit": {"optimizer": {"use": "adam"}}}, "steps[0].fit.optimizer.use: "),
    ],
)
def test_the_only_optimizer_a_method_holds_for(fit, place):
    blend = {"name": "b", "method": part("Blend"), "models": {"donors": ["teacher"]}, **fit}
    assert only(steps(blend)).startswith(f"{place}method `{HERE}:Blend` holds for sgd only")


def test_a_function_makes_a_model():
    plan = load(recipe(models={**recipe()["models"], "own": part("build", depth=3)}))
    assert plan.resolved["models"]["own"] == part("build", depth=3)
    assert type(plan.models["own"]).__name__ == "UserModel"


def test_mistakes_come_together_in_the_order_of_the_file(tmp_path):
    text = [
        "titel: x",
        "models:",
        f'  teacher: {{use: "{HERE}:Picture", widht: 3}}',
        f'  student: {{use: "{HERE}:Picture", norm: bach}}',
        "tasks:",
        f'  t: {{use: "{HERE}:Pictures", share: 1.5}}',
        f'method: {{use: "{HERE}:Copy", temperature: hot}}',
        "fit: {epochs: -1}",
    ]
    path = tmp_path / "r.yaml"
    path.write_text("\n".join(text))
    with pytest.raises(RequestError) as caught:
        load(path, ["fit.warmup=2"])
    first, *rest = str(caught.value).splitlines()
    assert first.startswith("--set fit.warmup=2  fit.warmup: must be less than 1, but is 2")
    wrong = {0: "titel", 2: "widht", 3: "bach", 5: "1.5", 6: "hot", 7: "-1"}
    assert [line.partition("  ")[0] for line in rest] == [
        f"{path}:{line + 1}:{text[line].index(word) + 1}" for line, word in wrong.items()
    ]


def test_resolved_is_a_recipe_that_resolves_to_itself():
    for source in (recipe(fit={"clip_norm": 1}), steps(LEARN, COPY)):
        plan = load(source)
        again = load(plan.resolved)
        assert again.resolved == plan.resolved
        assert again.digest == plan.digest
        assert again.steps == plan.steps


def test_defaults_that_are_written_out_change_nothing(tmp_path):
    written = recipe(seeds=[0], fit={"epochs": 10, "optimizer": {"use": "adamw"}})
    assert load(written).digest == load(recipe()).digest
    assert load(recipe(seeds=[1])).digest != load(recipe()).digest


def test_differences():
    old = load(recipe(fit={"epochs": 20})).resolved
    new = load(recipe(fit={"epochs": 30}, seeds=[0, 1])).resolved
    del new["models"]["teacher"]["width"]
    assert differences(old, new) == [
        "models.teacher.width: 32 -> (absent)",
        "fit.epochs: 20 -> 30",
        "seeds: [0] -> [0, 1]",
    ]
    assert differences({"s": [{"a": 1}]}, {"s": [{"a": 2}]}) == ["s[0].a: 1 -> 2"]
    assert differences(old, old) == []
