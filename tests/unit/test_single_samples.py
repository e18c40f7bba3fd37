"""Batches of one sample where batch norm learns: joined to the batch before, or refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from broken_models import batch_norm
from workbench import LABELS, WIDTH, bench, hard, model, split, task

import bequest
from bequest.build.model import Classifier
from bequest.core.errors import RequestError
from bequest.runner import dry_run, inspect, prepare
from bequest.runner.single_samples import single_sample_problems
from bequest.transfer.pool import Pool, chosen, joined
from bequest.transfer.streams import Rows, pair


def sizes(stream, batch_size):
    return [len(batch.ids) for batch in stream.epoch(3, batch_size)]


@pytest.mark.parametrize(
    ("count", "batch_size", "expected"),
    [
        (9, 4, [4, 5]),
        (5, 2, [2, 3]),
        (5, 4, [5]),
        (8, 4, [4, 4]),
        (10, 4, [4, 4, 2]),
        (1, 4, [1]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_a_single_sample_that_is_left_over_joins_the_batch_before(count, batch_size, expected):
    rows = Rows(split(count), singles=False)
    assert sizes(rows, batch_size) == expected
    assert rows.steps(batch_size) == len(expected)


def test_every_sample_comes_once_and_in_the_same_order_as_otherwise():
    plain, whole = Rows(split(9)), Rows(split(9), singles=False)
    order = [
        sample for rows in (plain, whole) for b in rows.epoch(3, 4) for sample in b.ids.tolist()
    ]
    assert order[:9] == order[9:]
    assert sizes(plain, 4) == [4, 4, 1]
    assert [len(b.ids) for b in whole.epoch(3, 4, skip=1)] == [5]


def test_streams_made_of_others_keep_it():
    rows = Rows(split(9), singles=False)
    both = joined([rows, Rows(split(8, seed=1, first=100), singles=False)])
    assert sizes(both, 4) == [4, 4, 4, 5]
    assert sizes(chosen(rows, slice(0, 5)), 4) == [5]
    pool = Pool({0: rows})
    assert [len(mixed.number) for mixed in pool.epoch(3, 4)] == [4, 5]
    beside = pair(a=rows, b=Rows(split(5), singles=False))
    assert [(len(x["a"].ids), len(x["b"].ids)) for x in beside.epoch(3, 4)] == [(4, 5), (5, 5)]


def test_only_models_that_learn_with_batch_norm_change_the_batches(tmp_path):
    data = [task(count=41)]
    normed = Classifier(batch_norm((WIDTH,), LABELS), LABELS)
    work = bench(tmp_path, models={"student": normed}, tasks=data)
    assert work.task().train.steps(8) == 5
    work.fit(normed, work.task().train, hard)
    assert work.fits[0].steps == 10
    assert bench(tmp_path, models={"student": model()}, tasks=data).task().train.steps(8) == 6
    normed.module.requires_grad_(False)
    frozen = bench(tmp_path, models={"student": model(), "teacher": normed}, tasks=data)
    assert frozen.task().train.steps(8) == 6


def recipe(use, samples, batch_size):
    return {
        "schema": 1,
        "models": {"student": {"use": use} if isinstance(use, str) else use},
        "tasks": {"d": {"use": "digits", "train_samples": samples}},
        "method": {"use": "finetune"},
        "fit": {"epochs": 1, "batch_size": batch_size},
    }


def checked(given):
    draft, plan = inspect(given)
    return dry_run(prepare(draft, plan, "cpu"))


RESNET = {"use": "resnet", "widths": [4, 4], "depths": [1, 1], "smallest": 8}


@pytest.mark.parametrize("use", ["broken_models:batch_norm", RESNET])
def test_a_last_batch_of_one_runs(tmp_path, monkeypatch, use):
    monkeypatch.chdir(tmp_path)
    assert bequest.run(recipe(use, 33, 16), out="run").matrix.has("accuracy", 1, "d")


def test_batches_and_data_of_one_sample_are_refused_before_the_work():
    with pytest.raises(RequestError, match=r"fit\.batch_size.*`student` has batch norm.*2 or more"):
        checked(recipe("broken_models:batch_norm", 33, 1))
    draft, plan = inspect(recipe("broken_models:batch_norm", 33, 16))
    prepared = prepare(draft, plan, "cpu")
    digits = prepared.tasks["d"]
    single = replace(digits, splits={**digits.splits, "train": split(1)})
    (problem,) = single_sample_problems(plan, {"d": single}, prepared.facts)
    assert problem.field == ("tasks", "d")
    assert "has one training sample, but model `student` has batch norm" in problem.what


def test_batch_norm_over_many_places_of_a_picture_takes_a_single_sample():
    wide = {"use": "resnet", "widths": [4], "depths": [1], "smallest": 16}
    assert checked(recipe(wide, 10, 1)).fit_steps == 10
    assert checked(recipe("broken_models:linear", 10, 1)).fit_steps == 10
