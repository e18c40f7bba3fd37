"""How many threads a run takes."""

from __future__ import annotations

import pytest
import torch

from bequest import runner
from bequest.build.models.mlp import Mlp
from bequest.core.find import find
from bequest.runner.facts import WORTH_SHARING, work_of
from bequest.runner.threads import fitting_threads

RECIPE = {
    "models": {"student": {"use": "mlp", "hidden": [8]}},
    "tasks": {"wine": {"use": "wine"}},
    "method": {"use": "finetune"},
}


@pytest.fixture
def three_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield monkeypatch
    torch.set_num_threads(before)


def inside(hidden):
    draft, plan = runner.inspect(
        {
            **RECIPE,
            "models": {"m": {"use": "mlp", "hidden": hidden}},
            "steps": [{"name": "one", "method": {"use": "finetune"}, "models": {"student": "m"}}],
            "method": None,
        }
    )
    with fitting_threads(runner.prepare(draft, plan, "cpu")):
        return torch.get_num_threads()


def test_small_models_take_one_and_large_ones_all(three_threads):
    assert inside([8]) == 1
    assert inside([2048, 2048]) == 3
    assert torch.get_num_threads() == 3


def test_what_the_user_set_stays(three_threads):
    three_threads.setenv("OMP_NUM_THREADS", "3")
    assert inside([8]) == 3


def test_a_module_that_wants_other_inputs_is_judged_by_its_weights():
    model = find("models", "mlp")(hidden=[8]).build((3,), "features", ("a", "b"))
    weights = sum(weight.numel() for weight in model.module.parameters())
    assert work_of(model, (10, 3)) == 2 * 10 * (3 * 8 + 8 * 2)
    model.module.forward = lambda inputs: inputs["not a tensor"]
    assert work_of(model, (10, 3)) == 2 * 10 * weights


def test_a_large_model_is_not_tried():
    model = find("models", "mlp")(hidden=[2000]).build((100,), "features", ("a", "b"))
    model.module.forward = None
    assert work_of(model, (500, 100)) >= WORTH_SHARING


def test_every_model_is_built_once_before_the_work(monkeypatch):
    built = []
    build = Mlp.build

    def counted(spec, *about):
        built.append(spec)
        return build(spec, *about)

    monkeypatch.setattr(Mlp, "build", counted)
    prepared = runner.prepare(*runner.inspect(RECIPE), "cpu")
    with fitting_threads(prepared):
        runner.dry_run(prepared)
    assert len(built) == 1
