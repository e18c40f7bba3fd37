"""Batches: their order follows from a seed, and can be taken up in the middle."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workbench import WIDTH, split

from bequest.core.live import Split, Texts
from bequest.lazy import torch
from bequest.transfer.streams import Live, Rows, episodes, pair


def ids(batch):
    return batch.ids.tolist()


def flat(value):
    """Every tensor and number in a batch, however it is nested."""
    if isinstance(value, torch.Tensor):
        return [value.tolist()]
    if value is None:
        return []
    parts = value.values() if isinstance(value, dict) else value
    return [value] if isinstance(value, int) else list(itertools.chain(*map(flat, parts)))


def test_texts_are_asked_about_on_the_device_of_their_rows():
    texts = Split(Texts(("a", "bcd", "ef")), None, np.arange(3))
    assert {part.device.type for part in Rows(texts, "meta").askable()} == {"meta"}


STREAMS = {
    "rows": lambda: Rows(split(23)),
    "pair": lambda: pair(long=Rows(split(23)), short=Rows(split(9, seed=1))),
    "nested": lambda: pair(a=Rows(split(17)), b=pair(c=Rows(split(5)), d=Rows(split(30)))),
    "episodes": lambda: episodes([Rows(split(11)), Rows(split(14, seed=1))], support=2, query=3),
    "live": lambda: Live(lambda step, modules, rng: (step, torch.rand(3, generator=rng)), None, 12),
}
streams = pytest.mark.parametrize("name", STREAMS)


@streams
@given(st.integers(0, 2**62), st.integers(1, 9))
@settings(max_examples=10, deadline=None)
def test_taken_up_anywhere_an_epoch_goes_on_with_the_same_batches(name, seed, batch_size):
    stream = STREAMS[name]()
    whole = [flat(batch) for batch in stream.epoch(seed, batch_size)]
    assert len(whole) == stream.steps(batch_size)
    for skip in range(len(whole) + 1):
        assert [flat(batch) for batch in stream.epoch(seed, batch_size, skip)] == whole[skip:]


@streams
def test_the_seed_decides_and_nothing_else(name):
    first = flat(next(STREAMS[name]().epoch(5, 4)))
    torch.rand(3)
    np.random.rand(3)
    assert flat(next(STREAMS[name]().epoch(5, 4))) == first
    others = [flat(next(STREAMS[name]().epoch(seed, 4))) for seed in (6, 7, 8)]
    assert any(other != first for other in others)


def test_an_epoch_has_every_sample_once_in_another_order():
    rows = Rows(split(23))
    batches = list(rows.epoch(3, 5))
    assert [len(batch.ids) for batch in batches] == [5, 5, 5, 5, 3]
    seen = [one for batch in batches for one in ids(batch)]
    assert sorted(seen) == sorted(rows.ids.tolist())
    assert seen != rows.ids.tolist()
    assert seen != [one for batch in rows.epoch(4, 5) for one in ids(batch)]


def test_a_batch_keeps_its_parts_together():
    one = split(23)
    for batch in Rows(one).epoch(1, 4):
        for place, sample in enumerate(ids(batch)):
            row = list(one.ids).index(sample)
            assert torch.equal(batch.inputs[place], torch.from_numpy(one.inputs[row]))
            assert int(batch.targets[place]) == one.targets[row]


def test_askable_is_every_row_once_in_the_order_of_the_data():
    rows = Rows(split(1100))
    parts = rows.askable()
    assert [len(part) for part in parts] == [512, 512, 76]
    assert torch.cat(parts).tolist() == list(range(1100))


def test_bytes_become_shares_of_one():
    one = replace(split(3), inputs=np.array([[0, 51, 255]] * 3, dtype=np.uint8))
    inputs = Rows(one).all().inputs
    assert inputs.dtype is torch.float32
    assert inputs[0].tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert one.inputs.dtype == np.uint8


def test_unlabelled_data_have_no_targets():
    assert Rows(replace(split(5), targets=None)).all().targets is None


class OnDemand:
    """Inputs that are read when they are wanted."""

    def __init__(self, inputs):
        self._inputs, self.asked = inputs, []
        self.shape = inputs.shape

    def __len__(self):
        return len(self._inputs)

    def __getitem__(self, rows):
        self.asked.append(np.asarray(rows).tolist())
        return self._inputs[rows]


def test_data_on_demand_give_the_same_batches_and_read_only_what_is_wanted():
    plain = split(23)
    inputs = OnDemand(plain.inputs)
    on_demand, in_memory = Rows(replace(plain, inputs=inputs)), Rows(plain)
    found = [flat(batch) for batch in on_demand.epoch(2, 5, 3)]
    assert found == [flat(batch) for batch in in_memory.epoch(2, 5, 3)]
    assert [len(rows) for rows in inputs.asked] == [5, 3]


def test_a_pair_is_as_long_as_its_first_and_the_shorter_starts_again_in_a_new_order():
    long, short = Rows(split(40)), Rows(split(12, seed=1))
    steps = list(pair(long=long, short=short).epoch(0, 4))
    assert len(steps) == 10
    turns = [[one for step in steps[at : at + 3] for one in ids(step["short"])] for at in (0, 3, 6)]
    assert all(sorted(turn) == sorted(short.ids.tolist()) for turn in turns)
    assert turns[0] != turns[1] != turns[2]
    assert len(list(pair(short=short, long=long).epoch(0, 4))) == 3


def test_an_episode_is_of_one_domain_and_its_sides_do_not_overlap():
    domains = [Rows(split(20)), Rows(split(30, seed=1, first=500))]
    stream = episodes(domains, support=4, query=6)
    seen = list(stream.epoch(0, 64))
    assert len(seen) == stream.steps(64) == 5
    for episode in [*seen, *stream.epoch(1, 64), *stream.epoch(2, 64)]:
        support, query = ids(episode.support), ids(episode.query)
        assert (len(support), len(query)) == (4, 6)
        assert not set(support) & set(query)
        assert {*support, *query} <= set(domains[episode.domain].ids.tolist())
        assert episode.support.inputs.shape == (4, WIDTH)
    domains_seen = {episode.domain for seed in range(5) for episode in stream.epoch(seed, 64)}
    assert domains_seen == {0, 1}


def test_a_domain_too_small_for_a_query_is_refused():
    with pytest.raises(ValueError, match=r"domains \[1\] have at most 5 samples"):
        episodes([Rows(split(9)), Rows(split(5))], support=5, query=1)


def test_live_data_are_told_the_step_and_the_modules():
    told = []
    stream = Live(lambda step, modules, rng: told.append((step, modules)), "modules", 4)
    assert stream.steps(99) == 4
    list(stream.epoch(0, 1, 2))
    assert told == [(2, "modules"), (3, "modules")]


@pytest.mark.parametrize("empty", ["first", "second"])
def test_an_empty_side_of_a_pair_has_no_steps(empty):
    sides = {"first": Rows(split(8)), "second": Rows(split(8)), empty: Rows(split(0))}
    assert pair(**sides).steps(4) == 0
