"""Searching: rankings by hand, sides without a leak, and galleries that lie elsewhere."""

from __future__ import annotations

import json

import language_models
import numpy as np
import pytest

import bequest
from bequest.build.embedding import Search
from bequest.build.stored import PROBES, compared, made_one_long
from bequest.build.tasks.retrieve import Retrieve
from bequest.build.tasks.same_label import SameLabel
from bequest.core.errors import RequestError
from bequest.lazy import functional, torch
from bequest.measure.retrieval_metrics import RETRIEVAL_SCORES
from bequest.ops.retrieval import judged, of_equal_labels, places, relevance, worth
from bequest.recipe.check import check
from bequest.recipe.reading import read
from bequest.runner.preparing import prepare

METRICS = {metric.name: metric for metric in RETRIEVAL_SCORES}


def value(name, columns):
    count = len(columns["first_rank"])
    return float(METRICS[name].compute(columns, np.full(count, 1 / count)))


def test_scores_by_hand():
    queries, gallery = np.eye(3)[:2], np.eye(3) * np.array([[1.0], [2.0], [3.0]])
    gallery = np.vstack([gallery, [0.5, 3.0, 0.0]])  # last: second for query 0, first for query 1
    found = judged(queries, gallery, relevance([[0, 3], [1]]))
    assert found["first_rank"].tolist() == [1, 2]
    assert found["average_precision"].tolist() == [1.0, 0.5]
    assert value("cmc_1", found) == 0.5
    assert value("cmc_5", found) == 1.0
    assert value("recall_1", found) == 0.25
    assert value("mean_average_precision", found) == 0.75
    assert found["gain"].tolist() == [1.0, 1 / np.log2(3)]


def test_disjoint_lists_are_judged_by_their_own_labels():
    # The official code takes rows of the one list for rows of the other here.
    queries, gallery = np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    belongs = of_equal_labels(np.array([7, 8]), np.array([7, 8, 9]))
    found = judged(queries, gallery, belongs)
    assert found["first_rank"].tolist() == [3, 3]


def test_queries_without_a_match_are_left_out_and_so_is_a_query_itself():
    labels, vectors = np.array([0, 0, 1, 2, 2]), np.random.default_rng(0).standard_normal((5, 3))
    belongs = of_equal_labels(labels, labels, np.arange(5))
    assert belongs.matched().tolist() == [0, 1, 3, 4]
    assert belongs.of(0).tolist() == [1]
    assert len(judged(vectors, vectors, belongs)["first_rank"]) == 4


def test_of_equal_scores_the_first_in_the_gallery_is_ranked_first():
    scores = np.array([0.5, 0.9, 0.5, 0.5, 0.1])
    assert places(scores, np.array([3])).tolist() == [4]
    assert places(scores, np.array([0, 2])).tolist() == [2, 3]
    assert places(scores, np.array([3]), own=0).tolist() == [3]
    assert worth(np.array([2, 3]))["first_rank"] == 2


def test_the_longer_vector_is_cut():
    queries, gallery = np.ones((1, 5)), np.array([[1.0, 1.0], [2.0, 0.5]])
    assert judged(queries, gallery, relevance([[1]]))["first_rank"].tolist() == [1]


class Plain:
    """Vectors as they come."""

    module = torch.nn.Identity()
    answers, labels = frozenset({"embed"}), ()

    def embed(self, inputs):
        return functional.normalize(inputs.flatten(1), dim=1)


def stored(task):
    return functional.normalize(torch.from_numpy(task.gallery.inputs).flatten(1), dim=1).numpy()


def test_stored_vectors_are_searched_and_other_columns_break_the_score():
    task = SameLabel(of={"use": "digits"}).load("digits")
    model = Plain()
    own = task.record(Search(model, model), 64).columns["first_rank"]
    task.stored = stored(task)
    there = task.record(Search(model, model, stored=True), 64).columns["first_rank"]
    np.testing.assert_array_equal(own, there)
    task.stored = stored(task)[:, np.random.default_rng(0).permutation(64)]
    with pytest.raises(RequestError, match="not those of the old model"):
        task.record(Search(model, model, stored=True), 64)
    mixed = judged(stored(task), task.stored, task.belongs)["first_rank"]
    assert (mixed <= 1).mean() < 0.6 < (own <= 1).mean()


def test_the_first_model_of_a_run_is_scored_in_the_index_if_it_made_it(monkeypatch):
    task = SameLabel(of={"use": "digits"}).load("digits")
    task.stored = stored(task)
    asked = []
    embed = Plain.embed
    monkeypatch.setattr(
        Plain, "embed", lambda self, inputs: asked.append(len(inputs)) or embed(self, inputs)
    )
    task.record(Plain(), 512)
    assert sum(asked) == len(task.splits["test"]) + PROBES


ITEMS = [{"id": f"i{n}", "text": f"thing number {n}"} for n in range(20)]
QUERIES = [{"text": f"looking for {n}", "item": f"i{n}"} for n in range(10)]


@pytest.fixture
def files(tmp_path):
    def write(items=ITEMS, queries=QUERIES, **settings):
        paths = {}
        for name, rows in (("items", items), ("queries", queries)):
            paths[name] = str(tmp_path / f"{name}.jsonl")
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        return Retrieve(**paths, **settings)

    return write


def texts(split):
    return set(split.inputs.texts)


def test_nothing_that_is_tested_is_learnt_from(files):
    for settings in ({}, {"labelled": False}, {"test": 0.5, "split_seed": 3}):
        task = files(**settings).load("things")
        test, train = task.splits["test"], task.splits["train"]
        hidden = {task.gallery.inputs.texts[place] for place in task.belongs.items.tolist()}
        assert not texts(train) & (texts(test) | hidden)
        assert len(task.gallery) == 20
        assert (train.targets is None) == (not settings.get("labelled", True))
    unlabelled = files(labelled=False).load("x")
    assert len(unlabelled.splits["train"]) == 20 - len(unlabelled.splits["test"])


def test_texts_of_one_item_have_one_label(files):
    task = files().load("things")
    train = task.splits["train"]
    assert len(train) == 2 * (10 - len(task.splits["test"]))
    number = dict(zip(train.inputs.texts, train.targets, strict=True))
    for n in range(10):
        if (query := f"looking for {n}") in number:
            assert number[query] == number[f"thing number {n}"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"items": [*ITEMS, ITEMS[0]]}, "`i0` is there twice"),
        ({"queries": [*QUERIES, {"text": "x", "item": "no"}]}, "`no`, which is no item"),
        ({"queries": [{"text": "x", "item": ""}]}, "names no item"),
        ({"text": "txt"}, "has no `txt`"),
        ({"index": {"use": "file", "path": "gone.npy", "ids": "gone.txt"}}, "gone.npy"),
    ],
)
def test_what_is_wrong_is_said(files, change, said):
    with pytest.raises(RequestError, match=said):
        files(**change).load("things")


def test_an_index_is_put_in_the_order_of_the_items(files, tmp_path):
    ids = [one["id"] for one in ITEMS][::-1]
    vectors = np.arange(40, dtype=np.float32).reshape(20, 2)
    place = {"path": str(tmp_path / "old.npy"), "ids": str(tmp_path / "old.txt")}
    bequest.open_index("file", **place).write(ids, vectors)
    task = files(index={"use": "file", **place}).load("things")
    np.testing.assert_array_equal(task.stored, vectors[::-1])


def test_vectors_of_another_length_are_refused_before_any_work(tmp_path):
    mlp = {"use": "mlp", "hidden": [4]}
    recipe = {
        "models": {
            "old": {"use": "embedder", "width": 6, "of": mlp},
            "new": {"use": "embedder", "width": 5, "of": mlp},
        },
        "tasks": {"digits": {"use": "same_label", "of": {"use": "digits"}}},
        "method": {"use": "bct"},
    }
    with pytest.raises(
        RequestError,
        match=r"in 5 numbers with those of `old`, which have 6; write `old: old` in it",
    ):
        bequest.run(recipe, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


# --- Stored vectors of other lengths ---------------------------------------------------------


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_stored_vectors_of_other_lengths_are_searched_by_direction():
    task = SameLabel(of={"use": "digits"}).load("digits")
    model = Plain()
    own = task.record(Search(model, model), 64).columns["first_rank"]
    lengths = np.exp(drawn(len(task.gallery), 1))
    task.stored = stored(task) * lengths
    (note,) = task.index_notes(model)
    assert "directions are compared" in note
    there = task.record(Search(model, model, stored=True), 64).columns["first_rank"]
    np.testing.assert_array_equal(own, there)
    assert not np.array_equal(own, judged(stored(task), task.stored, task.belongs)["first_rank"])


class Raw(Plain):
    """Vectors that are not made one long."""

    def embed(self, inputs):
        return inputs.flatten(1)


def test_lengths_count_where_the_model_gives_them_and_the_index_has_them():
    task = SameLabel(of={"use": "digits"}).load("digits")
    task.stored = task.gallery.inputs.reshape(len(task.gallery), -1) * 2
    model = Raw()
    assert task.index_notes(model) == []
    own = task.record(Search(model, model), 64).columns["first_rank"]
    there = task.record(Search(model, model, stored=True), 64).columns["first_rank"]
    np.testing.assert_array_equal(own, there)
    task.stored = task.stored * np.exp(drawn(len(task.gallery), 1))
    with pytest.raises(RequestError, match="not those of the old model"):
        task.index_notes(model)


def test_a_model_that_compares_by_cosine_does_so_without_an_index():
    task = SameLabel(of={"use": "digits"}).load("digits")
    model = Raw()
    model.similarity = "cosine"
    by_cosine = task.record(model, 64).columns["first_rank"]
    np.testing.assert_array_equal(by_cosine, task.record(Plain(), 64).columns["first_rank"])


@pytest.mark.parametrize(
    ("changed", "made", "odd"), [(0, True, 0), (3, True, 3), (4, False, 4), (16, False, 16)]
)
def test_a_few_texts_may_have_changed_since(changed, made, odd):
    own = made_one_long(drawn(16, 8))
    there = own.copy()
    there[:changed] = -own[:changed]
    found = compared(own, there)
    assert (found.made, len(found.odd), found.by_direction) == (made, odd, False)


def test_made_one_long():
    vectors = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(made_one_long(vectors), [[0.6, 0.8], [0, 0]])
    unit = made_one_long(drawn(5, 3))
    assert made_one_long(unit) is unit


def indexed(files, tmp_path, vectors, ids):
    place = {"path": str(tmp_path / "old.npy"), "ids": str(tmp_path / "old.txt")}
    bequest.open_index("file", **place).write(ids, vectors)
    return files(index={"use": "file", **place})


def test_vectors_of_no_item_are_counted(files, tmp_path):
    ids = [*(one["id"] for one in ITEMS), "gone", "lost"]
    task = indexed(files, tmp_path, drawn(22, 3), ids).load("things")
    assert task.notes == ("2 vectors of the index belong to no item (`gone`, `lost`)",)


def test_an_index_of_another_model_is_found_before_the_work(files, tmp_path):
    place = language_models.embedder(tmp_path / "encoder")
    spec = indexed(files, tmp_path, drawn(20, 16), [one["id"] for one in ITEMS])
    encoder = {"use": "hf", "path": str(place)}
    recipe = {
        "models": {"old": encoder, "new": encoder},
        "tasks": {"things": {"use": "retrieve", **spec.model_dump(exclude_none=True)}},
        "method": {"use": "independent"},
    }
    draft = read(recipe)
    plan, _ = check(draft)
    with pytest.raises(RequestError) as caught:
        prepare(draft, plan, "cpu")
    (problem,) = caught.value.problems
    assert problem.field == ("tasks", "things", "index")
    assert "are not those of the old model, by 16 of them" in problem.what


def test_queries_and_items_are_told_apart(files):
    task = files(test=0.5).load("things")
    assert {*task.splits["test"].inputs.roles} == {"query"}
    assert {*task.gallery.inputs.roles} == {"document"}
    train = task.splits["train"].inputs
    assert all(
        (role == "query") == text.startswith("looking")
        for text, role in zip(train.texts, train.roles, strict=True)
    )
