"""Plain continual methods: what each must and must not do to a model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import workbench
from scipy import stats

import bequest
from bequest.build.heads import Headed
from bequest.core.errors import RequestError
from bequest.core.find import find
from bequest.lazy import functional, torch
from bequest.methods.continual._reservoir import Reservoir
from bequest.methods.continual._sequence import Learner, open_head
from bequest.methods.continual.ewc import EwcLearner, fisher
from bequest.recipe.check import load
from bequest.runner.preparing import inspect, prepare
from bequest.store.journal import Entry
from bequest.transfer.pool import Pool, chosen, joined
from bequest.transfer.streams import Rows

METHODS = ("sequential", "replay", "ewc", "lwf")
NAMES = ("one", "two", "three")


def tasks(names=NAMES):
    return [workbench.task(name, seed=number) for number, name in enumerate(names)]


def learned(folder, method, names=NAMES, **fields):
    """The weights after each stage of a method."""
    bench = workbench.bench(folder, tasks=tasks(names))
    stages = find("methods", method)(**fields).transfer(bench)
    return [workbench.weights(stage.model) for stage in stages], bench


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


def test_pools_of_samples_on_demand_give_what_pools_in_memory_give():
    class OnDemand:
        def __init__(self, array):
            self._array = array
            self.shape = array.shape

        def __len__(self):
            return len(self._array)

        def __getitem__(self, rows):
            return self._array[rows]

    splits = [workbench.split(12, seed, first=100 * seed) for seed in (1, 2, 3)]
    held = [Rows(split) for split in splits]
    late = [Rows(replace(split, inputs=OnDemand(split.inputs))) for split in splits]
    rows = torch.tensor([35, 0, 12, 11, 24, 23])
    for one, other in zip(joined(held).batch(rows), joined(late).batch(rows), strict=True):
        assert torch.equal(one, other)
    few = chosen(late[1], np.array([5, 2])).all()
    assert torch.equal(few.inputs, held[1].batch(torch.tensor([5, 2])).inputs)


def rows_of(count, first):
    return Rows(workbench.split(count, seed=first, first=first))


def test_the_memory_never_exceeds_its_budget_and_holds_no_sample_twice():
    memory, rng = Reservoir(25), torch.Generator().manual_seed(0)
    for number, count in enumerate([10, 7, 300, 1, 50]):
        memory.see(rows_of(count, 1000 * number), rng)
        held = torch.cat([mixed.batch.ids for mixed in memory.stream().epoch(0, 8)])
        assert len(held) == len(memory) == min(25, [10, 17, 317, 318, 368][number])
        assert len(held.unique()) == len(held)
        assert all(
            (mixed.batch.ids // 1000 == mixed.number).all() for mixed in memory.stream().epoch(0, 8)
        )


def test_every_sample_is_as_likely_to_be_kept_as_any_other():
    sizes, budget, rounds = (30, 5, 45), 20, 600
    kept = Counter()
    rng = torch.Generator().manual_seed(7)
    parts = [rows_of(size, 100 * number) for number, size in enumerate(sizes)]
    for _ in range(rounds):
        memory = Reservoir(budget)
        for part in parts:
            memory.see(part, rng)
        kept.update(torch.cat([m.batch.ids for m in memory.stream().epoch(0, 20)]).tolist())
    counts = [kept[sample] for part in parts for sample in part.ids.tolist()]
    # Samples of one memory exclude each other, which shrinks the variance by 1 - budget / n.
    n = sum(sizes)
    statistic = stats.chisquare(counts).statistic / (1 - budget / n) * (n - 1) / n
    assert 0.001 < stats.chi2.sf(statistic, n - 1) < 0.999


def test_replay_weighs_every_sample_of_a_step_alike(tmp_path):
    bench = workbench.bench(tmp_path, tasks=tasks())
    learner = find("methods", "replay")(memory=5).learner(bench, bench.model())
    for task in bench.tasks()[:2]:
        learner.learn(task)
    task = bench.tasks()[2]
    (batch, *_) = learner.batches(task).epoch(0, 8)
    assert (len(batch["task"].ids), len(batch["memory"].number)) == (8, 5)
    terms = learner.loss(bench.model(), batch, torch.Generator())
    whole = sum(weight * value for weight, value in terms.values())
    new, old = batch["task"], batch["memory"].batch
    logits = bench.model().logits(torch.cat([new.inputs, old.inputs]))
    wanted = functional.cross_entropy(logits, torch.cat([new.targets, old.targets]))
    assert torch.allclose(whole, wanted)


def test_replay_asks_old_samples_through_the_heads_of_their_tasks(tmp_path):
    bench = workbench.bench(tmp_path, tasks=tasks())
    method = find("methods", "replay")(memory=30, heads="per_task")
    learner = method.learner(bench, method.prepared(bench.model()))
    for task in bench.tasks()[:2]:
        learner.learn(task)
    task = bench.tasks()[2]
    open_head(bench, learner.model, task)
    (batch, *_) = learner.batches(task).epoch(0, 8)
    terms = learner.loss(learner.modules(task), batch, torch.Generator())
    old = batch["memory"]
    losses = [
        functional.cross_entropy(
            learner.model.for_task(NAMES[number]).logits(inputs[None]), target[None]
        )
        for number, inputs, target in zip(
            old.number.tolist(), old.batch.inputs, old.batch.targets, strict=True
        )
    ]
    assert set(old.number.tolist()) == {0, 1}
    assert torch.allclose(terms["memory"][1], torch.stack(losses).mean())


def test_the_collapsed_penalty_has_the_gradient_of_separate_ones(tmp_path):
    bench = workbench.bench(tmp_path, tasks=tasks([*NAMES, "four"]))
    learner = EwcLearner(bench, bench.model(), strength=3.0, samples=16)
    separate = []
    remember = bench.remember

    def noted(name, make):
        found = remember(name, make)
        separate.append((found, workbench.weights(bench.model())))
        return found

    bench.remember = noted
    for task in bench.tasks()[:3]:
        learner.learn(task)
    weights = dict(bench.model().module.named_parameters())
    for weight in weights.values():
        weight.data += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    penalty = sum(
        1.5 * (importance * (weights[name] - centre[name]).square()).sum()
        for found, centre in separate
        for name, importance in found.items()
    )
    wanted = torch.autograd.grad(penalty, list(weights.values()))
    for weight in weights.values():
        weight.grad = torch.zeros_like(weight)
    learner.on_gradient(bench.model(), 0)
    for weight, gradient in zip(weights.values(), wanted, strict=True):
        assert gradient.abs().max() > 1e-3
        assert torch.allclose(weight.grad, gradient, rtol=1e-4, atol=1e-6)


def test_what_ewc_keeps_does_not_grow_with_the_tasks(tmp_path):
    bench = workbench.bench(tmp_path, tasks=tasks())
    learner = EwcLearner(bench, bench.model(), strength=1.0, samples=4)
    sizes = []
    for task in bench.tasks():
        learner.learn(task)
        kept = [*learner.importance.values(), *learner.centre.values()]
        sizes.append(sum(tensor.numel() for tensor in kept))
    assert sizes == [2 * sum(p.numel() for p in bench.model().module.parameters())] * 3


def test_importances_are_the_fisher_information():
    model = workbench.model(hidden=3)
    inputs = torch.randn(4, workbench.WIDTH, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    drawn = torch.stack([fisher(model, inputs.repeat(25, 1))["3.bias"] for _ in range(20)])
    # For biases of the last layer the information is p (1 - p), averaged over the inputs.
    probability = model.logits(inputs).softmax(dim=1).detach()
    wanted = (probability * (1 - probability)).mean(dim=0)
    error = drawn.std(dim=0) / len(drawn) ** 0.5
    assert ((drawn.mean(dim=0) - wanted).abs() < 4 * error).all()


def test_lwf_measures_how_far_each_old_head_went(tmp_path):
    bench = workbench.bench(tmp_path, tasks=tasks())
    method = find("methods", "lwf")(heads="per_task", temperature=2.0, weight=0.7)
    learner = method.learner(bench, method.prepared(bench.model()))
    for task in bench.tasks()[:2]:
        learner.learn(task)
    task = bench.tasks()[2]
    open_head(bench, learner.model, task)
    learner.before_task(task)
    batch = task.train.batch(torch.arange(6))
    weight, gone = learner.loss(learner.modules(task), batch, torch.Generator())["kept"]
    assert (weight, gone.item()) == (0.7, pytest.approx(0, abs=1e-6))
    before = {n: learner.model.for_task(n).logits(batch.inputs).detach() for n in NAMES[:2]}
    for parameter in learner.model.module.parameters():
        parameter.data += 0.3
    weight, gone = learner.loss(learner.modules(task), batch, torch.Generator())["kept"]
    wanted = 0.0
    for name, old in before.items():
        now = learner.model.for_task(name).logits(batch.inputs).detach()
        p, q = (old / 2).softmax(1), (now / 2).softmax(1)
        wanted += float((p * (p / q).log()).sum(1).mean())
    assert gone.item() == pytest.approx(wanted, rel=1e-4)
    assert wanted > 0.01


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
