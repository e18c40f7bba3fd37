"""How many threads a run takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bequest import runner
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


def test_a_module_that_wants_other_inputs_is_judged_by_its_parameters(three_threads):
    draft, plan = runner.inspect(RECIPE)
    prepared = runner.prepare(draft, plan, "cpu")

    def build(name, seed):
        model = type(prepared).build(prepared, name, seed)
        model.module.forward = lambda inputs: inputs["not a tensor"]
        return model

    odd = replace(prepared)
    object.__setattr__(odd, "build", build)
    with fitting_threads(odd):
        assert torch.get_num_threads() == 1
