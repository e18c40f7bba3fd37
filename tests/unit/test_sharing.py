"""A batch shared between processes: who gets what, and that the parts add up to the whole."""

from __future__ import annotations

import pytest
from workbench import model, split

from bequest.core.errors import RequestError, RunError
from bequest.core.live import Batch, Texts
from bequest.lazy import functional, torch
from bequest.store.processes import ALONE, Processes, Several, launched
from bequest.transfer.pool import Mixed
from bequest.transfer.sharing import cut, join
from bequest.transfer.streams import Episode, Rows
from bequest.transfer.terms import Mean, shares, total, weighed


class OneOf(Processes):
    """One of several that only exist in turn: sums are those that all gave the last time."""

    def __init__(self, rank, count, sums):
        self.rank, self.count, self.sums, self.given = rank, count, sums, []

    def sum(self, tensors):
        for tensor in tensors:
            number = len(self.given)
            self.given.append(tensor.clone())
            if self.sums:
                tensor.copy_(self.sums[number])


def all_of(count, work):
    """What `work(processes)` gives in each process, once with what the others gave known."""
    sums = []
    for _ in range(3):  # sums may depend on sums before
        each = [OneOf(rank, count, sums) for rank in range(count)]
        found = [work(one) for one in each]
        sums = [sum(parts) for parts in zip(*(one.given for one in each), strict=True)]
    return found


def batch(count=11, seed=0):
    return Rows(split(count, seed)).all()


@pytest.mark.parametrize("count", [2, 3])
def test_every_sample_goes_to_one_process(count):
    whole = batch()
    found = all_of(count, lambda one: cut(whole, one))
    ids = torch.cat([mine.ids for mine, _ in found])
    assert sorted(ids.tolist()) == sorted(whole.ids.tolist())
    assert sum(share for _, share in found) == pytest.approx(1)
    for mine, share in found:
        assert len(mine.inputs) == len(mine.targets) == len(mine.ids)
        assert share == len(mine.ids) / 11


def test_every_kind_of_batch_is_cut():
    one, other = batch(8), batch(6, seed=1)
    texts = Batch(one.ids, Texts(tuple("abcdefgh")), None)
    second = OneOf(1, 2, [])
    assert cut(texts, second)[0].inputs.texts == tuple("bdfh")
    assert cut(texts, second)[0].targets is None
    sides, share = cut({"task": one, "memory": Mixed(other, torch.arange(6))}, second)
    assert torch.equal(sides["task"].ids, one.ids[1::2])
    assert torch.equal(sides["memory"].batch.ids, other.ids[1::2])
    assert sides["memory"].number.tolist() == [1, 3, 5]
    assert share == 7 / 14
    episode, _ = cut(Episode(3, one, other), second)
    assert episode.support is one
    assert torch.equal(episode.query.ids, other.ids[1::2])


@pytest.mark.parametrize("whole", [batch(3), {"a": batch(8), "b": batch(3)}, torch.zeros(9),
                                   {"a": batch(8), "noise": torch.zeros(8)}, {}])  # fmt: skip
def test_what_is_too_small_or_unknown_is_done_by_all(whole):
    for mine, share in all_of(2, lambda one: cut(whole, one)):
        assert mine is whole
        assert share == 0.5


def test_alone_a_batch_stays_as_it_is():
    whole = batch()
    assert cut(whole, ALONE)[0] is whole


def tokens(student, samples):
    """A loss over a number of things that differs from sample to sample."""
    kept = samples.targets > 0
    lost = functional.cross_entropy(student.logits(samples.inputs), samples.targets,
                                    reduction="none")  # fmt: skip
    return Mean((lost * kept).sum(), kept.sum())


def losses(student, samples):
    hard = functional.cross_entropy(student.logits(samples.inputs), samples.targets)
    return {"hard": (0.3, hard), "tokens": tokens(student, samples)}


@pytest.mark.parametrize("size", [3, 11, 40])
@pytest.mark.parametrize("count", [2, 3])
def test_gradients_values_and_shares_are_those_of_the_whole(count, size):
    whole = batch(size)

    def step(one):
        student = model()
        parameters = list(student.module.parameters())
        mine, share = cut(whole, one)
        pairs = weighed(losses(student, mine), share, one)
        found = shares(pairs, parameters, one)
        total(pairs).backward()
        if one.count > 1:
            pairs = join(parameters, pairs, one)
        values = {name: float(value.detach()) for name, (_, value) in pairs.items()}
        return [each.grad for each in parameters], values, found

    gradients, values, found = step(ALONE)
    for theirs, told, measured in all_of(count, step):
        assert told == pytest.approx(values, rel=1e-5)
        assert measured == pytest.approx(found, rel=1e-4)
        for one, other in zip(gradients, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_weight_that_no_process_used_has_no_gradient_and_one_that_some_did_has():
    def step(one):
        used, unused, first = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
        lost = used.sum() + (first.sum() if one.first else 0)
        lost.backward()
        join([used, unused, first], {"a": (1.0, lost)}, one)
        return used.grad, unused.grad, first.grad

    for used, unused, first in all_of(2, step):
        assert used.tolist() == [2, 2]
        assert unused is None
        assert first.tolist() == [1, 1]


def test_a_mean_is_its_total_by_its_count():
    value = torch.tensor(6.0, requires_grad=True)
    for count in (4, 4.0, torch.tensor(4)):
        assert weighed({"a": Mean(value, count)})["a"][1].item() == 1.5
    weight, mean = weighed({"a": (0.5, Mean(value * 2, 3))})["a"]
    assert (weight, mean.item()) == (0.5, 4.0)
    mean.backward()
    assert float(value.grad) == pytest.approx(2 / 3)


def test_a_mean_over_nothing_is_nothing():
    assert float(weighed({"a": Mean(torch.tensor(0.0), 0)})["a"][1]) == 0.0


def test_a_total_that_is_no_number_is_refused():
    with pytest.raises(RunError, match=r"`a` has shape \(3,\)"):
        weighed({"a": Mean(torch.ones(3), 4)})


def test_without_a_launcher_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert launched("auto") is ALONE
    assert (ALONE.first, ALONE.told("here")) == (True, "here")


@pytest.mark.parametrize("name", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
def test_launchers_that_split_a_model_are_refused(name, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(RequestError, match=r"splits models .*--multi_gpu"):
        launched("cpu")


def test_one_device_for_several_processes_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RequestError, match="can't share the device `cuda:1`"):
        launched("cuda:1")


def test_large_and_mixed_tensors_travel_and_come_back(monkeypatch):
    sent = []

    def all_reduce(flat):
        sent.append(flat.nbytes)
        flat *= 2

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    monkeypatch.setattr("bequest.store.processes._BUCKET", 64)
    tensors = [torch.arange(12.0).view(3, 4).t(), torch.ones(2, dtype=torch.int64),
               torch.ones(20), torch.tensor(3.0), torch.zeros(0)]  # fmt: skip
    before = [tensor.clone() for tensor in tensors]
    Several(0, 2, torch.device("cpu")).sum(tensors)
    for one, other in zip(tensors, before, strict=True):
        assert torch.equal(one, other * 2)
    assert len(sent) == 3  # two of floats, one of integers


def test_the_end_of_another_process_is_an_error_in_words(monkeypatch):
    def gone():
        raise RuntimeError("[pair.cc:5] Connection closed by peer. This is typically a crash")

    monkeypatch.setattr(torch.distributed, "barrier", gone)
    with pytest.raises(RunError, match=r"has ended .*\(Connection closed by peer\); .*--resume"):
        Several(1, 2, torch.device("cpu")).wait()
