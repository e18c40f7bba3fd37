"""A frozen teacher is asked once; the cache answers for it, or refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from workbench import LABELS, bench, model, same, split, task, weights

from bequest.build.model import Classifier
from bequest.core.errors import StaleCache
from bequest.core.live import Batch
from bequest.lazy import torch
from bequest.transfer.cache import recall
from bequest.transfer.streams import Rows

MADE_FROM = {"weights": "w", "data": "d"}


def live(teacher, rows):
    with torch.inference_mode():
        return teacher.logits(rows.all().inputs)


@pytest.fixture
def rows():
    return Rows(split(40), fingerprint="d")


def test_the_cache_is_the_live_teacher_bit_for_bit(tmp_path, rows):
    teacher = model(3)
    cached = bench(tmp_path).recall(teacher, rows)
    assert torch.equal(cached(rows.all()), live(teacher, rows))


def test_every_batch_gets_the_answers_to_its_own_samples(tmp_path, rows):
    teacher = model(3)
    cached = bench(tmp_path).recall(teacher, rows)
    whole = dict(zip(rows.ids.tolist(), live(teacher, rows), strict=True))
    for batch in rows.epoch(5, 7):
        expected = torch.stack([whole[one] for one in batch.ids.tolist()])
        assert torch.equal(cached(batch), expected)


def test_data_in_several_blocks_are_put_together_in_order(tmp_path, rows):
    blocks = iter(torch.arange(80.0).reshape(40, 2).split(16))
    cached = recall(tmp_path / "cache.npy", MADE_FROM, rows.ids, blocks)
    assert torch.equal(cached(rows.all()), torch.arange(80.0).reshape(40, 2))


def test_a_teacher_with_dropout_is_asked_in_eval_mode_and_stays_untouched(tmp_path, rows):
    teacher = model(3, dropout=0.5)
    before = weights(teacher)
    first = bench(tmp_path / "a").recall(teacher, rows)(rows.all())
    second = bench(tmp_path / "b").recall(teacher, rows)(rows.all())
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert same(weights(teacher), before)


def test_asked_once_only_even_by_the_next_process(tmp_path, rows):
    teacher, calls = model(3), []
    teacher.module.register_forward_hook(lambda *seen: calls.append(1))
    first = bench(tmp_path).recall(teacher, rows)(rows.all())
    second = bench(tmp_path).recall(teacher, rows)(rows.all())
    assert len(calls) == 1
    assert torch.equal(first, second)


@pytest.mark.parametrize("other", ["weights", "data"])
def test_other_weights_or_data_are_refused_by_name(tmp_path, rows, other):
    bench(tmp_path).recall(model(3), rows)
    teacher = model(4) if other == "weights" else model(3)
    data = Rows(split(40), fingerprint="another" if other == "data" else "d")
    with pytest.raises(StaleCache, match=rf"made from other {other}\b"):
        bench(tmp_path).recall(teacher, data)


def test_one_changed_weight_is_enough(tmp_path, rows):
    teacher = model(3)
    bench(tmp_path).recall(teacher, rows)
    with torch.no_grad():
        weight = teacher.module[0].weight
        weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0))
    with pytest.raises(StaleCache):
        bench(tmp_path).recall(teacher, rows)


@pytest.mark.parametrize("strange", [-5, 40, 10**12])
def test_a_sample_that_was_never_asked_about_is_refused(tmp_path, rows, strange):
    cached = bench(tmp_path).recall(model(3), rows)
    ids = torch.tensor([int(rows.ids[0]), strange])
    with pytest.raises(StaleCache, match="not in the cache"):
        cached(Batch(ids, None, None))


def test_ids_need_not_be_in_order_or_close(tmp_path):
    ids = np.array([2**62, -(2**62), 7, 0], dtype=np.int64)
    rows = Rows(replace(split(4), ids=ids))
    cached = recall(tmp_path / "c.npy", MADE_FROM, rows.ids, iter([torch.arange(4.0)[:, None]]))
    wanted = Batch(torch.tensor([0, 2**62, 7]), None, None)
    assert cached(wanted)[:, 0].tolist() == [3.0, 0.0, 2.0]


def test_writing_into_an_answer_does_not_reach_the_file(tmp_path, rows):
    first = bench(tmp_path).recall(model(3), rows)(rows.all())
    kept = first.clone()
    first.zero_()
    assert torch.equal(bench(tmp_path).recall(model(3), rows)(rows.all()), kept)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_answers_keep_their_type(tmp_path, rows, dtype):
    values = torch.arange(40).to(getattr(torch, dtype))
    cached = recall(tmp_path / "c.npy", MADE_FROM, rows.ids, iter([values]))
    assert torch.equal(cached(rows.all()), values)
    assert cached(rows.all()).dtype is getattr(torch, dtype)


def test_a_teacher_that_answers_in_bfloat16_is_remembered_exactly(tmp_path, rows):
    class Low(Classifier):
        def logits(self, inputs):
            return super().logits(inputs).bfloat16()

    teacher = Low(model(3).module, LABELS)
    cached = bench(tmp_path).recall(teacher, rows)(rows.all())
    assert torch.equal(cached, live(teacher, rows).float())


def test_a_cache_that_was_cut_short_is_refused(tmp_path, rows):
    bench(tmp_path).recall(model(3), rows)
    (file,) = tmp_path.glob("*.npy")
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(StaleCache, match="delete"):
        bench(tmp_path).recall(model(3), rows)


def test_killed_before_it_was_described_it_is_asked_again(tmp_path, rows):
    first = bench(tmp_path).recall(model(3), rows)(rows.all())
    (note,) = tmp_path.glob("*.cache.json")
    note.unlink()
    assert torch.equal(bench(tmp_path).recall(model(3), rows)(rows.all()), first)


def test_two_tasks_have_caches_of_their_own(tmp_path):
    work = bench(tmp_path, tasks=[task("a", "source"), task("b", "target", seed=1)])
    first, second = (one.train for one in work.tasks())
    teacher = model(3)
    caches = [work.recall(teacher, rows) for rows in (first, second)]
    for cached, rows in zip(caches, (first, second), strict=True):
        assert torch.equal(cached(rows.all()), live(teacher, rows))
