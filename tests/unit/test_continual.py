"""Plain continual methods: what each must and must not do to a model."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import workbench
from tasks_in_turn import METHODS, NAMES, learned, tasks

import bequest
from bequest.build.heads import Headed
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.lazy import torch
from bequest.methods.continual._sequence import Learner
from bequest.recipe.check import load
from bequest.runner.preparing import inspect, prepare
from bequest.store.journal import Entry
from bequest.transfer.pool import Pool


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("heads", ["shared", "per_task"])
def test_there_is_a_stage_after_each_task(tmp_path, method, heads):
    bench = workbench.bench(tmp_path, tasks=tasks())
    found = [
        (stage.name, stage.learned, stage.line, stage.on, isinstance(stage.model, Headed))
        for stage in find("methods", method)(heads=heads).transfer(bench)
    ]
    per_task = heads == "per_task"
    assert found == [(f"after-{name}", name, "main", None, per_task) for name in NAMES]


@pytest.mark.parametrize(("method", "off"), [("ewc", {"strength": 0}), ("lwf", {"weight": 0})])
@pytest.mark.parametrize("heads", ["shared", "per_task"])
def test_switched_off_it_is_sequential_bit_for_bit(tmp_path, method, off, heads):
    plain, _ = learned(tmp_path / "a", "sequential", heads=heads)
    same, _ = learned(tmp_path / "b", method, heads=heads, **off)
    other, _ = learned(tmp_path / "c", method, heads=heads)
    assert all(map(workbench.same, plain, same))
    assert workbench.same(plain[0], other[0]), "there is nothing to protect in the first task"
    assert not workbench.same(plain[-1], other[-1])


@pytest.mark.parametrize("method", ["sequential", "ewc"])
def test_heads_of_other_tasks_stay_bit_identical(tmp_path, method):
    stages, _ = learned(tmp_path, method, heads="per_task")
    for before, after in pairwise(stages):
        heads = [name for name in before if "heads" in name]
        assert heads
        assert all(torch.equal(before[name], after[name]) for name in heads)
        assert not torch.equal(before["0.weight"], after["0.weight"])


def test_one_head_per_task_is_masked_to_the_classes_of_the_task(tmp_path):
    few = workbench.task("few")
    targets = few.splits["train"].targets
    few.splits["train"] = workbench.split(40)
    few.splits["train"].targets[:] = np.where(targets == 0, 1, targets)
    bench = workbench.bench(tmp_path, tasks=[few, workbench.task("whole")])
    *_, last = find("methods", "sequential")(heads="per_task").transfer(bench)
    inputs = bench.tasks()[0].train.all().inputs
    assert last.model.for_task("few").logits(inputs).argmax(dim=1).ne(0).all()
    assert (last.model.for_task("few").logits(inputs).softmax(dim=1)[:, 0] == 0).all()
    assert last.model.for_task("whole").logits(inputs).argmax(dim=1).eq(0).any()


def test_a_model_that_has_heads_is_not_trained_with_a_shared_one(tmp_path):
    bench = workbench.bench(tmp_path, tasks=tasks())
    *_, last = find("methods", "sequential")(heads="per_task").transfer(bench)
    again = workbench.bench(tmp_path / "b", tasks=tasks(), models={"student": last.model})
    with pytest.raises(RequestError, match="write `heads: per_task`"):
        next(find("methods", "sequential")().transfer(again))


def test_single_starts_each_task_from_the_same_model_and_leaves_the_student(tmp_path):
    bench = workbench.bench(tmp_path, tasks=tasks())
    before = workbench.weights(bench.model())
    stages = list(find("methods", "single")().transfer(bench))
    assert [(stage.learned, list(stage.on)) for stage in stages] == [(n, [n]) for n in NAMES]
    assert workbench.same(before, workbench.weights(bench.model()))
    first, _ = learned(tmp_path / "b", "sequential")
    assert workbench.same(first[0], workbench.weights(stages[0].model))
    assert not workbench.same(first[1], workbench.weights(stages[1].model))


def test_joint_sees_each_sample_once_an_epoch(tmp_path):
    views = workbench.bench(tmp_path, tasks=tasks()).tasks()
    pool = Pool(dict(enumerate(view.train for view in views)))
    wanted = Counter(
        (number, sample) for number, view in enumerate(views) for sample in view.train.ids.tolist()
    )
    for seed in (0, 1):
        batches = list(pool.epoch(seed, 16))
        assert len(batches) == pool.steps(16)
        seen = Counter(
            pair
            for batch, number in batches
            for pair in zip(number.tolist(), batch.ids.tolist(), strict=True)
        )
        assert seen == wanted
    first, again, other = (
        torch.cat([mixed.batch.ids for mixed in pool.epoch(seed, 16)]) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    later = list(pool.epoch(0, 16, skip=2))
    assert torch.equal(torch.cat([mixed.batch.ids for mixed in later]), first[32:])


def test_joint_gives_one_stage_or_one_for_each_prefix(tmp_path):
    bench = workbench.bench(tmp_path / "a", tasks=tasks())
    (whole,) = find("methods", "joint")().transfer(bench)
    assert (whole.learned, whole.model) == (None, bench.model())
    bench = workbench.bench(tmp_path / "b", tasks=tasks())
    prefixes = list(find("methods", "joint")(prefixes=True).transfer(bench))
    assert [stage.learned for stage in prefixes] == list(NAMES)
    assert prefixes[-1].model is bench.model()
    alone, _ = learned(tmp_path / "c", "sequential", heads="shared")
    assert len({str(workbench.weights(stage.model)) for stage in prefixes}) == 3
    assert not workbench.same(alone[1], workbench.weights(prefixes[1].model))


CLOUDS = {"a": {"use": "toys:Cloud"}, "b": {"use": "toys:Cloud", "shift": 1.0}}


def recipe(method, **fields):
    return {
        "models": {"student": {"use": "mlp", "hidden": [4]}},
        "tasks": CLOUDS,
        "steps": [{"name": "s", "method": {"use": method, "heads": "per_task", **fields}}],
        "fit": {"epochs": 2},
    }


class Killed(BaseException):
    """Stands for a process that ends at once."""


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("method", ["replay", "ewc", "lwf", "joint"])
def test_with_heads_it_resumes_to_the_same_bits_after_every_entry(method, monkeypatch):
    given = recipe(method)
    whole = bequest.run(given, out="whole").path.joinpath("metrics.json").read_bytes()
    commit, deaths = Entry.commit, 0

    def dying(entry, result):
        commit(entry, result)
        raise Killed

    while True:
        monkeypatch.setattr(Entry, "commit", dying)
        try:
            run = bequest.run(given, out="killed", resume=deaths > 0)
            break
        except Killed:
            deaths += 1
    assert deaths >= 4
    assert run.path.joinpath("metrics.json").read_bytes() == whole


@pytest.mark.usefixtures("workdir")
def test_future_tasks_of_heads_are_absent_and_later_steps_and_runs_find_the_heads():
    given = recipe("sequential")
    first, *_ = given["steps"]
    given["steps"] = [
        {**first, "tasks": ["a", "b"]},
        {**first, "name": "more", "tasks": ["b", "a"], "models": {"student": "s.student"}},
    ]
    run = bequest.run(given, out="run")
    rows = {(row.step, row.name): number for number, row in enumerate(run.matrix.rows)}
    after_a, after_b = rows["s", "after-a"], rows["s", "after-b"]
    assert run.matrix.has("accuracy", after_a, "a")
    assert not run.matrix.has("accuracy", after_a, "b")
    assert "not learned yet" in run.matrix.cells.absent[after_a, "b"]
    assert run.matrix.has("accuracy", rows["more", "after-b"], "a"), "its head came along"
    kept = run.model("s")
    assert kept.heads == ("a", "b")
    cloud = find("tasks", "toys:Cloud")().load("a")
    correct = cloud.record(kept.for_task("a"), 64).columns["correct"].mean()
    assert correct == run.matrix.value("accuracy", after_b, "a").value


def test_learners_share_one_loop():
    assert type(find("methods", "sequential")().learner(None, None)) is Learner


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"use": "replay", "memory": 0}, "method.memory: must be at least 1, but is 0"),
        ({"use": "ewc", "strength": -1}, "method.strength: must be at least 0, but is -1"),
        ({"use": "lwf", "heads": "pertask"}, "did you mean `per_task`?"),
    ],
)
def test_mistakes_in_fields_are_said(fields, said):
    given = {"models": {"student": {"use": "mlp"}}, "tasks": CLOUDS, "method": fields}
    with pytest.raises(RequestError) as caught:
        load(given)
    assert said in str(caught.value)


def test_a_model_that_can_not_have_heads_is_refused_before_work_starts():
    given = recipe("sequential") | {"models": {"student": {"use": "toys:flat"}}}
    draft, plan = inspect(given)
    with pytest.raises(RequestError, match=r"models\.student: the model can't have one head"):
        prepare(draft, plan)


def test_a_shared_head_after_heads_is_refused_before_work_starts():
    given = recipe("sequential")
    later = {"name": "t", "method": {"use": "ewc"}, "models": {"student": "s.student"}}
    draft, plan = inspect({**given, "steps": [*given["steps"], later]})
    with pytest.raises(RequestError, match="one head per task, but the method learns with a sha"):
        prepare(draft, plan)
