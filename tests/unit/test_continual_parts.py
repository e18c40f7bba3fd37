"""What continual methods are made of: memories, penalties, importances, old answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import workbench
from scipy import stats
from tasks_in_turn import NAMES, tasks

from bequest.core.find import find
from bequest.lazy import functional, torch
from bequest.methods.continual._reservoir import Reservoir
from bequest.methods.continual._sequence import open_head
from bequest.methods.continual.ewc import EwcLearner, fisher
from bequest.transfer.pool import chosen, joined
from bequest.transfer.streams import Rows


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
    for one, other in zip(joined(held).batch(rows)[:3], joined(late).batch(rows)[:3], strict=True):
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
