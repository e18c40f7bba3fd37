"""Tasks for adaptation: noise in classes, few labels, parts of a task, gradients of images."""

from __future__ import annotations

import numpy as np
import pytest

from bequest.build.tasks.class_noise import ClassNoise
from bequest.build.tasks.csv import Csv
from bequest.build.tasks.few_labels import FewLabels
from bequest.build.tasks.gradients import Gradients
from bequest.build.tasks.part import Part
from bequest.build.variants import gradient_histograms
from bequest.core.errors import RequestError

DIGITS, WINE = {"use": "digits"}, {"use": "wine"}


def noise(**fields):
    return ClassNoise(**{"classes": 4, "width": 30, "per_class": 200} | fields).load("noise")


def means(task):
    train = task.splits["train"]
    return np.stack([train.inputs[train.targets == label].mean(axis=0) for label in range(4)])


def apart(task):
    """Mean distance of class means from their own mean."""
    found = means(task)
    return np.linalg.norm(found - found.mean(axis=0), axis=1).mean()


def test_noise_has_classes_only_where_it_is_asked_for():
    assert apart(noise()) > 4
    assert apart(noise(scale=0.1)) == pytest.approx(0.1 * apart(noise()), abs=0.4)
    for flat in (
        {"means": "common"},
        {"distribution": "laplace"},
        {"labels": "shuffled"},
        {"scale": 0.0},
    ):
        assert apart(noise(**flat)) < 0.8, flat
    assert np.linalg.norm(means(noise(means="common")), axis=1).min() > 3
    assert np.abs(noise(distribution="uniform").splits["train"].inputs).max() <= 10


def test_exchanged_names_are_all_other_names_of_the_same_vectors():
    own, other = noise(), noise(labels="exchanged")
    np.testing.assert_array_equal(own.splits["train"].inputs, other.splits["train"].inputs)
    here, there = own.splits["train"].targets, other.splits["train"].targets
    assert (here != there).all()
    assert len(set(zip(here.tolist(), there.tolist(), strict=True))) == 4


def test_rising_means_and_covariances_have_the_norms_of_the_paper():
    # Table III: 6 classes in 300 dimensions, alpha 0.2: 12.62 and 105.34 on average.
    task = ClassNoise(classes=6, width=300, per_class=3000, means="rising", scale=0.2).load("x")
    own = [task.splits["train"].inputs[task.splits["train"].targets == c] for c in range(6)]
    assert np.mean([np.linalg.norm(x.mean(axis=0)) for x in own]) == pytest.approx(12.62, rel=0.08)
    assert np.mean([np.linalg.norm(np.cov(x.T)) for x in own]) == pytest.approx(105.34, rel=0.05)


def test_noise_is_the_same_for_the_same_seed():
    one, same, other = noise(), noise(), noise(seed=1)
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert one.purpose == "source"
    assert set(one.splits["train"].ids).isdisjoint(one.splits["test"].ids)


def test_few_labels_hides_all_others():
    task = FewLabels(labelled=3, of=DIGITS).load("few")
    train, unlabelled, test = (task.splits[side] for side in ("train", "unlabelled", "test"))
    assert np.bincount(train.targets).tolist() == [3] * 10
    assert unlabelled.targets is None
    np.testing.assert_array_equal(unlabelled.ids, test.ids)
    np.testing.assert_array_equal(unlabelled.inputs, test.inputs)
    assert set(train.ids).isdisjoint(test.ids)
    assert len(train) + len(test) == 1797
    assert task.purpose == "target"


def test_few_labels_measured_on_unseen_samples():
    task = FewLabels(labelled=3, tested="unseen", of=DIGITS).load("few")
    unlabelled, test = task.splits["unlabelled"], task.splits["test"]
    assert set(unlabelled.ids).isdisjoint(test.ids)


def test_another_draw_labels_other_samples():
    one, other = (FewLabels(draw=draw, of=DIGITS).load("few") for draw in (0, 1))
    assert set(one.splits["train"].ids) != set(other.splits["train"].ids)


def test_too_many_labels_are_refused():
    with pytest.raises(RequestError, match="leave no sample without one"):
        FewLabels(labelled=500, of=WINE).load("few")


def test_parts_share_no_sample_and_keep_classes():
    parts = [Part(number=number, shares=3, of=WINE).load("p") for number in (1, 2, 3)]
    for side in ("train", "validation", "test"):
        ids = np.concatenate([part.splits[side].ids for part in parts])
        assert len(set(ids.tolist())) == len(ids)
        assert all(set(part.splits[side].targets) == {0, 1, 2} for part in parts if side == "train")
    assert sum(len(split) for part in parts for split in part.splits.values()) == 178


def test_a_part_in_some_columns():
    whole, part = Part(of=WINE).load("p"), Part(columns=(2, 5), of=WINE).load("p")
    assert part.shape == (2,)
    rows = whole.splits["train"].inputs[:, [1, 4]]
    np.testing.assert_array_equal(part.splits["train"].inputs, rows)
    with pytest.raises(RequestError, match="13 columns, and column 14 is asked for"):
        Part(columns=(14,), of=WINE).load("p")
    assert "there is no share 3 of 2" in str(Part(number=3, of=WINE).check()[0])


def test_gradients_are_features_of_another_dimension():
    task = Gradients(of=DIGITS).load("g")
    assert (task.kind, task.shape) == ("features", (36,))
    train = task.splits["train"].inputs
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-4)
    assert set(train.std(axis=0).round(2)) <= {0.0, 1.0}
    with pytest.raises(RequestError, match="takes images"):
        Gradients(of=WINE).load("g")
    with pytest.raises(RequestError, match="hold no cell of 9"):
        Gradients(cell=9, of=DIGITS).load("g")


def test_a_gradient_counts_for_its_direction():
    right = np.tile(np.arange(8, dtype=np.float32), (8, 1))  # brighter to the right by 1 a pixel
    images = np.stack([right, right.T, right[:, ::-1]])[:, None]
    found = gradient_histograms(images, 8, 4)
    np.testing.assert_allclose(found, 64 * np.eye(4)[[0, 1, 2]], atol=1e-4)


def test_a_direction_between_two_bins_counts_half_for_each():
    slope = np.add.outer(np.arange(8.0), np.arange(8.0)).astype(np.float32)[None, None]
    found = gradient_histograms(slope, 8, 4)[0]
    np.testing.assert_allclose(found, 64 * 2**0.5 * np.array([0.5, 0.5, 0, 0]), rtol=1e-5)


def table(path, lines):
    path.write_text("\n".join(["a,b,label", *lines]) + "\n")
    return {"path": str(path), "validation": 0, "test": 0.5}


def test_rows_without_a_label_are_kept_where_that_is_asked(tmp_path):
    known = [f"{row},{row % 3},{'xy'[row % 2]}" for row in range(8)]
    hidden = [f"{row},1," for row in range(100, 140)]
    fields = table(tmp_path / "t.csv", [*known, *hidden, hidden[0], "0,0,"])
    task = Csv(**fields, unlabelled=True).load("t")
    without = task.splits["unlabelled"]
    assert without.targets is None
    assert len(without) == 40  # neither the repeated row nor the one whose label is known
    learned = np.concatenate([without.inputs, task.splits["train"].inputs])
    np.testing.assert_allclose(learned.mean(axis=0), 0, atol=1e-5)
    assert set(Csv(**fields).load("t").splits) == {"train", "test"}


def test_a_table_that_is_labelled_throughout_has_no_such_rows(tmp_path):
    lines = [f"{row},{row % 3},{'xy'[row % 2]}" for row in range(8)]
    with pytest.raises(RequestError, match="every row has a label"):
        Csv(**table(tmp_path / "t.csv", lines), unlabelled=True).load("t")


def test_few_labels_of_what_has_few_already_are_refused(tmp_path):
    known = [f"{row},{row % 3},{'xy'[row % 2]}" for row in range(8)]
    fields = table(tmp_path / "t.csv", [*known, "100,1,"])
    with pytest.raises(RequestError, match="without labels already"):
        FewLabels(of={"use": "csv", **fields, "unlabelled": True}).load("t")
