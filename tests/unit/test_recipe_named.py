"""Models and tasks that name another of the recipe where its settings could stand."""

import pytest
import torch

from bequest.core.errors import RequestError
from bequest.recipe.check import check
from bequest.recipe.reading import read
from bequest.runner.preparing import prepare

MLP = {"use": "mlp", "hidden": [4]}


def recipe(method="bct", **models):
    return {
        "models": models,
        "tasks": {"digits": {"use": "same_label", "of": {"use": "digits", "train_samples": 60}}},
        "method": {"use": method},
    }


def small(width):
    return {"use": "embedder", "width": width, "of": MLP}


def ready_for(told):
    draft = read(told)
    plan, problems = check(draft)
    assert not problems
    return prepare(draft, plan, "cpu")


def built(told, name):
    return ready_for(told).build(name, 0)


def test_settings_stand_where_a_name_stood():
    told = read(recipe(old=small(5), new={"use": "embedder", "of": "base"}, base=MLP))
    assert told.data["models"]["new"]["of"] == MLP
    assert told.data["models"]["base"] == MLP


def test_names_within_names_overrides_and_tasks():
    told = recipe(old=small(5), new={"use": "embedder", "of": "middle"}, base=MLP)
    told["models"]["middle"] = {"use": "smaller", "layers": 1, "of": "other"}
    told["tasks"] = {
        "half": {"use": "part", "number": 1, "of": "digits"},
        "digits": {"use": "digits"},
    }
    found = read(told, ["models.middle.of=base"]).data
    assert found["models"]["new"]["of"]["of"] == MLP
    assert found["tasks"]["half"]["of"] == {"use": "digits"}


def test_lines_of_mistakes_are_those_of_what_was_named(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text(
        "schema: 1\n"
        "models:\n"
        "  base: {use: mlp, hiden: [4]}\n"
        "  old: {use: embedder, of: base}\n"
        "  new: {use: embedder, of: base, old: old}\n"
        "tasks: {digits: {use: same_label, of: {use: digits}}}\n"
        "method: {use: bct}\n"
    )
    _, (problem,) = check(read(file))
    assert problem.at.line == 3
    assert problem.meant == "hidden"


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ({"new": {"use": "embedder", "of": "bse"}, "base": MLP}, "there is no model `bse`"),
        ({"new": {"use": "embedder", "of": "new"}}, "the model `new` is made of itself"),
        (
            {"new": {"use": "lora", "of": "base"}, "base": {"use": "lora", "of": "new"}},
            "is made of itself",
        ),
    ],
)
def test_names_that_lead_nowhere(models, said):
    with pytest.raises(RequestError, match=said):
        read(recipe(**models))


@pytest.mark.parametrize(
    ("use", "wide"), [("embedder", 5), ("bt2", 9 + 2), ("extra_dimensions", 5 + 2)]
)
def test_widths_follow_the_old_model(use, wide):
    extra = {} if use == "embedder" else {"extra": 2}
    method = {"embedder": "bct"}.get(use, use)
    told = recipe(method, old=small(5), base=small(9), new={"use": use, "of": "base", "old": "old"})
    told["models"]["new"] |= extra
    ready = ready_for(told)
    model = ready.build("new", 0)
    described = ready.described("new")
    assert described["old"] is None  # what is delivered needs no old model to be built
    assert described["width" if use == "embedder" else "old_width"] == 5
    assert model.compared == 5
    assert model.embed(torch.zeros(1, 1, 8, 8)).shape == (1, wide)


def test_another_old_model_draws_the_same_layers():
    told = recipe(old=small(5), new={"use": "embedder", "of": MLP, "old": "old"})
    plain = recipe(old=small(5), new=small(5))
    one, other = (built(each, "new").module.state_dict() for each in (told, plain))
    assert all(one[name].equal(other[name]) for name in other)


def test_a_width_that_the_independent_model_does_not_have_is_found_before_the_work():
    told = recipe("bt2", old=small(5), other=small(7))
    told["models"]["new"] = {"use": "bt2", "of": small(9), "old": "old", "extra": 2}
    told["method"] = None
    step = {"name": "up", "method": {"use": "bt2"}}
    told |= {"steps": [step | {"models": {"old": "old", "independent": "other", "new": "new"}}]}
    del told["method"]
    with pytest.raises(RequestError, match="learns vectors of 9 numbers from `other`, which has 7"):
        ready_for(told)


def test_the_old_model_must_give_vectors():
    told = recipe(old=small(5), new={"use": "embedder", "of": MLP, "old": {"use": "mlp"}})
    _, problems = check(read(told))
    assert any("`mlp` gives no vectors" in problem.what for problem in problems)


def test_the_upgrade_recipe_names_each_model_once():
    models = read("upgrade-embedder").data["models"]
    for name in ("bct", "naive", "upgraded"):
        assert models[name]["of"] == models["new"]
        assert models[name]["old"] == models["old"]
