"""GPM, TRGP and CUBER while they learn: what moves, what stays, and who is in which regime."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
import workbench

from bequest.build.model import Classifier
from bequest.core.errors import RequestError
from bequest.core.live import Split
from bequest.lazy import torch
from bequest.methods.continual._layers import Scaled, gradients
from bequest.methods.continual._memory import Learnt, Memory, Protection
from bequest.methods.continual.cuber import Cuber, penalty
from bequest.methods.continual.gpm import Gpm
from bequest.methods.continual.trgp import Trgp
from bequest.ops.subspaces import projected
from bequest.recipe.check import load
from bequest.store.journal import Entry
from bequest.transfer.randomness import seeded

METHODS = [Gpm, Trgp, Cuber]
LABELS, WIDTH, HIDDEN = ("a", "b", "c"), 8, 20
SGD = {"optimizer": {"use": "sgd", "lr": 0.1}}


class Double(torch.nn.Module):
    def forward(self, inputs):
        return inputs.double()


def student(bias=False):
    """A perceptron in float64."""
    nn = torch.nn
    with seeded(0):
        layers = [nn.Linear(WIDTH, HIDDEN, bias), nn.ReLU(), nn.Linear(HIDDEN, len(LABELS), bias)]
        return Classifier(nn.Sequential(Double(), *layers).double(), LABELS)


def task(name, seed, count=6, moved=0.0):
    """A few samples in a plane of their own that `moved` turns."""
    rng = np.random.default_rng(7)
    plane = rng.standard_normal((3, WIDTH)) + moved * np.random.default_rng(seed).standard_normal(
        (3, WIDTH)
    )
    latent = np.random.default_rng(seed + 100).standard_normal((count, 3))
    targets = latent.argmax(axis=1).astype(np.int64)
    split = Split((latent @ plane).astype(np.float32), targets, np.arange(count, dtype=np.int64))
    return SimpleNamespace(
        name=name, purpose="learn", labels=LABELS, splits={"train": split}, fingerprint=name
    )


TASKS = [task("one", 1), task("two", 2, 30, moved=0.3), task("three", 3, 30, moved=0.3)]


def bench(folder, tasks=TASKS, model=None, **settings):
    given = {"epochs": 5, "batch_size": 6, **SGD, **settings}
    return workbench.bench(
        folder,
        models={"student": model or student()},
        tasks=tasks,
        settings=workbench.fit_settings(**given),
    )


def learned(method, bench, tasks=1):
    """A learner after its first tasks, and the tasks that are left."""
    learner = method.learner(bench, bench.model("student"))
    views = bench.tasks("learn")
    for view in views[:tasks]:
        learner.learn(view)
    return learner, views[tasks:]


def answers(model, view):
    with torch.no_grad():
        return model.logits(view.train.all().inputs)


@pytest.mark.parametrize("method", [Gpm, Trgp])
def test_what_old_tasks_use_gives_the_same_outputs_to_the_end(tmp_path, method):
    here = bench(tmp_path)
    stages = method(threshold=1.0).transfer(here)
    first = here.tasks("learn")[0]
    before = answers(next(stages).model.for_task("one"), first)
    for stage in stages:
        moved = workbench.weights(stage.model)
        torch.testing.assert_close(
            answers(stage.model.for_task("one"), first), before, atol=1e-10, rtol=0
        )
    assert not workbench.same(moved, workbench.weights(student()))


@pytest.mark.parametrize("method", METHODS)
def test_each_task_is_learnt(tmp_path, method):
    here = bench(tmp_path, epochs=40)
    *_, last = method(threshold=0.9).transfer(here)
    for view in here.tasks("learn"):
        found = answers(last.model.for_task(view.name), view).argmax(dim=1)
        assert (found == view.train.targets).double().mean() > 0.6


def finals(tmp_path, *methods):
    found = []
    for number, method in enumerate(methods):
        here = bench(tmp_path / str(number))
        *_, last = method.transfer(here)
        found.append(workbench.weights(last.model))
    return found


def test_nothing_sufficient_is_gpm(tmp_path):
    settings = {"threshold": 0.9}
    one, other = finals(tmp_path, Gpm(**settings), Cuber(sufficient_projection=1.0, **settings))
    assert workbench.same(one, other)


def test_nothing_correlated_is_trgp(tmp_path):
    settings = {"threshold": 0.9, "sufficient_projection": 0.2}
    one, other, cuber = finals(
        tmp_path, Trgp(**settings), Cuber(least_correlation=1.1, **settings), Cuber(**settings)
    )
    assert workbench.same(one, other)
    assert not workbench.same(one, cuber)


def test_effective_weights_start_as_the_plain_ones(tmp_path):
    learner, (second, _) = learned(Trgp(sufficient_projection=0.0), bench(tmp_path))
    learner.before_task(second)
    assert isinstance(learner.asked, Scaled)
    torch.testing.assert_close(
        answers(learner.asked, second), answers(learner.model, second), atol=1e-12, rtol=0
    )


def agreeing(tmp_path, **settings):
    """A learner before its second task, whose gradient the first is made to agree with."""
    method = Cuber(threshold=0.9, sufficient_projection=0.0, **settings)
    here = bench(tmp_path, epochs=1, batch_size=30)
    learner, (second, _) = learned(method, here)
    kept = learner.memory.learnt["one"]
    kept.gradients.update(gradients(learner.model, learner.layers, second.train.all()))
    learner.before_task(second)
    assert {learner.protection.tasks(name, 3)[0] for name in learner.layers} == {"one"}
    return learner, second


def test_the_first_step_inside_an_agreeing_subspace_is_the_gradient(tmp_path):
    learner, second = agreeing(tmp_path, penalty=3.0)
    slopes = gradients(learner.model, learner.layers, second.train.all())
    before = {name: layer.weight.detach().clone() for name, layer in learner.layers.items()}
    learner.fit(second)
    for name, layer in learner.layers.items():
        basis = learner.memory.learnt["one"].bases[name]
        change = projected(layer.weight.detach() - before[name], basis)
        torch.testing.assert_close(change, -0.1 * projected(slopes[name], basis))


def test_a_gradient_that_disagrees_moves_nothing_inside(tmp_path):
    learner, second = agreeing(tmp_path)
    kept = learner.memory.learnt["one"]
    kept.gradients.update({name: -slope for name, slope in kept.gradients.items()})
    before = {name: layer.weight.detach().clone() for name, layer in learner.layers.items()}
    learner.fit(second)
    for name, layer in learner.layers.items():
        assert learner.protection.tasks(name, 2) == ["one"]
        change = layer.weight.detach() - before[name]
        assert projected(change, kept.bases[name]).abs().max() < 1e-12
        assert change.abs().max() > 1e-6


def test_a_drop_is_for_good_and_for_one_layer_and_task(tmp_path):
    learner, second = agreeing(tmp_path)
    first, other = learner.layers
    learner.protection.protect(first, "one")
    learner.fit(second)
    assert learner.protection.tasks(first, 2) == ["one"]
    assert learner.protection.tasks(other, 3) == ["one"]


def test_checks_wait_as_long_as_asked(tmp_path):
    learner, _ = agreeing(tmp_path, check_every=2)
    kept = learner.memory.learnt["one"]
    for step, regime in ((1, 3), (2, 2)):
        for name, layer in learner.layers.items():
            layer.weight.grad = -kept.gradients[name]
        learner.on_gradient(None, step)
        assert all(learner.protection.tasks(name, regime) for name in learner.layers)


def test_the_penalty_is_a_norm_and_gentle_at_the_start():
    weight = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    start, axis = torch.zeros(2, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    at_start = penalty(weight, start, [axis[:, :1], axis[:, 1:]])
    at_start.backward()
    assert at_start == 0
    assert not weight.grad.any()
    moved = penalty(torch.tensor([[3.0, 0, 0], [4.0, 0, 2.0]]).double(), start, [axis[:, :2]])
    assert moved == pytest.approx(5.0)
    assert penalty(weight, start, []) == 0


def test_a_protection_goes_on_from_its_state():
    bases = {"layer": torch.eye(4, dtype=torch.float64)[:, :2]}
    memory = Memory()
    memory.add("one", Learnt(bases, {}, {}), bases)
    like = torch.zeros(1, dtype=torch.float32)
    one = Protection(memory, {"layer": {"one": 3}})
    assert one.basis("layer", like) is None
    one.protect("layer", "one")
    assert one.basis("layer", like).dtype == torch.float32
    other = Protection(memory, {"layer": {"one": 3}})
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.basis("layer", like), one.basis("layer", like))


class Killed(BaseException):
    """Stands for a process that ends at once."""


def test_killed_between_drops_it_ends_with_the_same_bits(tmp_path, monkeypatch):
    def ended(folder):
        here = bench(folder, epochs=2, batch_size=3, checkpoint_seconds=0)
        method = Cuber(threshold=0.9, sufficient_projection=0.2)
        *_, last = method.transfer(here)
        return workbench.weights(last.model), last.model.pairs["three"]

    drops, protect = [], Protection.protect
    monkeypatch.setattr(
        Protection, "protect", lambda *given: drops.append(given[1:]) or protect(*given)
    )
    weights, pairs = ended(tmp_path / "whole")
    assert drops
    save, saved = Entry.save_checkpoint, []

    def dying(entry, state):
        save(entry, state)
        saved.append(state["step"])
        if len(saved) % 7 == 0:
            raise Killed

    monkeypatch.setattr(Entry, "save_checkpoint", dying)
    for _ in range(50):
        with contextlib.suppress(Killed):
            again, pairs_again = ended(tmp_path / "killed")
            break
    assert len(saved) > 14
    assert workbench.same(weights, again)
    for layer, used in pairs.items():
        for old, (_, matrix) in used.items():
            assert torch.equal(matrix, pairs_again[layer][old][1])


def test_tasks_in_regime_three_alone_are_left_unprotected():
    axes = torch.eye(4, dtype=torch.float64)
    first, second = axes[:, :2], axes[:, 1:3]
    memory = Memory()
    memory.add("one", Learnt({"layer": first}, {}, {}), {"layer": first})
    memory.add("two", Learnt({"layer": second}, {}, {}), {"layer": second[:, 1:]})
    found = Protection(memory, {"layer": {"one": 3, "two": 1}}).basis("layer", first)
    torch.testing.assert_close(found @ found.T, second @ second.T)


@pytest.mark.parametrize("method", METHODS)
def test_biases_stay_as_the_first_task_left_them_and_train_again_afterwards(tmp_path, method):
    model = student(bias=True)
    stages = method().transfer(bench(tmp_path, model=model))
    next(stages)
    biases = {name: value for name, value in workbench.weights(model).items() if "bias" in name}
    fresh = workbench.weights(student(bias=True))
    assert not any(torch.equal(fresh[name], value) for name, value in biases.items())
    assert len(list(stages)) == 2
    after = workbench.weights(model)
    assert all(torch.equal(after[name], value) for name, value in biases.items())
    assert all(weight.requires_grad for weight in model.module.parameters())


def test_running_statistics_stay_as_the_first_task_left_them(tmp_path):
    model = student()
    model.module.insert(2, torch.nn.BatchNorm1d(HIDDEN).double())
    stages = Cuber().transfer(bench(tmp_path, model=model))
    next(stages)
    before = {name: value for name, value in workbench.weights(model).items() if "running" in name}
    assert before
    list(stages)
    after = workbench.weights(model)
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("method", METHODS)
def test_heads_of_single_tasks_are_free(tmp_path, method):
    here = bench(tmp_path)
    *_, last = method(heads="per_task", threshold=1.0).transfer(here)
    heads = [name for name in workbench.weights(last.model) if "for-" in name]
    assert len(heads) == len(TASKS)
    losses = [
        [point["value"] for point in fit.curves if point["term"] == "hard"] for fit in here.fits
    ]
    assert all(course[-1] < course[0] for course in losses)


def test_packs_hold_what_effective_weights_are_made_of(tmp_path):
    first, second, _ = Trgp(sufficient_projection=0.0).transfer(bench(tmp_path))
    assert first.deliver == {}
    pack = second.deliver["scalings-two"].tensors
    assert {name.split(".")[-1] for name in pack} == {"basis", "scaling"}
    weights = workbench.weights(second.model)
    for name, basis in pack.items():
        if name.endswith("basis"):
            assert basis.shape[0] == weights[f"{name.split('.')[0]}.weight"].shape[1]


def test_thresholds_grow_and_may_differ_by_layer():
    layers = ("one", "two")
    grown = Gpm(threshold=(0.9, 0.995), threshold_growth=0.01).thresholds(layers, 2)
    assert grown == pytest.approx({"one": 0.92, "two": 1.0})
    with pytest.raises(RequestError, match="3 thresholds, but 2 layers"):
        Gpm(threshold=(0.9, 0.9, 0.9)).thresholds(layers, 0)


@pytest.mark.parametrize("threshold", [0.0, 1.1, [0.5, -1]])
def test_a_threshold_is_a_share(threshold):
    assert "at most 1" in str(Gpm(threshold=threshold).check()[0])


@pytest.mark.parametrize("setting", ["momentum", "weight_decay"])
@pytest.mark.parametrize("method", ["gpm", "trgp", "cuber"])
def test_momentum_and_decay_are_refused(method, setting):
    recipe = {
        "models": {"student": {"use": "mlp"}},
        "tasks": {"turned": {"use": "rotations", "of": {"use": "digits"}, "angles": [0, 30]}},
        "method": {"use": method},
        "fit": {"optimizer": {"use": "sgd", "lr": 0.1, setting: 0.5}},
    }
    said = f"fit.optimizer.{setting}: method `{method}` allows no .*, but it is 0.5; write"
    with pytest.raises(RequestError, match=said):
        load(recipe)


def test_a_model_without_a_layer_to_project_in_is_refused(tmp_path):
    model = student()
    model.module.requires_grad_(False)
    with pytest.raises(RequestError, match="no trainable layer"):
        next(Gpm().transfer(bench(tmp_path, model=model)))


def test_convolutions_are_protected_too(tmp_path):
    nn = torch.nn
    with seeded(0):
        layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * WIDTH, 3)]
    shaped = [Double(), nn.Unflatten(1, (1, 2, WIDTH // 2)), *layers]
    model = Classifier(nn.Sequential(*shaped).double(), LABELS)
    here = bench(tmp_path, model=model)
    stages = Trgp(threshold=1.0, sufficient_projection=0.1).transfer(here)
    first = here.tasks("learn")[0]
    before = answers(next(stages).model.for_task("one"), first)
    *_, last = stages
    torch.testing.assert_close(
        answers(last.model.for_task("one"), first), before, atol=1e-10, rtol=0
    )
    assert not torch.equal(answers(last.model.for_task("two"), first), before)
