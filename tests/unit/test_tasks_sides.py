"""Sides of a data set: nothing stands on two of them."""

import numpy as np
import pytest

from bequest.build.settings import SplitSettings
from bequest.build.splitting import TEST, TRAIN, VALIDATION, Pool, array_ids, content_ids, divide
from bequest.core.errors import RequestError


def pool(ids, targets=None, side=None, group=None):
    ids = np.asarray(ids, np.int64)
    targets = np.zeros(len(ids), np.int64) if targets is None else np.asarray(targets)
    side = np.full(len(ids), TRAIN) if side is None else np.asarray(side)
    return Pool(ids, targets, side.astype(np.int8), None if group is None else np.array(group))


def scattered(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**62, count)


def ids_of(samples, sides):
    return {name: set(samples.ids[rows].tolist()) for name, rows in sides.items()}


def test_shares_are_met_overall_and_per_label():
    samples = pool(scattered(1000), np.arange(1000) % 4)
    sides, notes = divide(samples, SplitSettings())
    assert {name: len(rows) for name, rows in sides.items()} == {
        "train": 700,
        "validation": 100,
        "test": 200,
    }
    assert np.bincount(samples.targets[sides["test"]]).tolist() == [50] * 4
    assert notes == []


def test_sides_depend_on_content_and_seed_but_not_on_order():
    samples = pool(scattered(300), np.arange(300) % 3)
    turned = samples.take(np.arange(300)[::-1])
    first = ids_of(samples, divide(samples, SplitSettings())[0])
    assert first == ids_of(turned, divide(turned, SplitSettings())[0])
    assert first != ids_of(samples, divide(samples, SplitSettings(split_seed=1))[0])


def test_repeats_stay_once_and_are_counted():
    ids = scattered(100)
    repeated = pool(np.r_[ids, ids[:7], ids[:2]], np.r_[np.zeros(107), 1, 1].astype(int))
    sides, notes = divide(repeated, SplitSettings())
    rows = np.concatenate(list(sides.values()))
    assert sorted(rows) == list(range(100))
    assert notes == [
        "7 exact repeats of samples were left out",
        "2 repeats of samples had another label; the first of each was kept",
    ]


def test_what_the_test_shares_with_training_leaves_training():
    ids = scattered(50)
    side = [TRAIN] * 50 + [TEST] * 12
    sides, notes = divide(pool(np.r_[ids, ids[:12]], side=side), SplitSettings(validation=0))
    assert sides["test"].tolist() == list(range(50, 62))
    assert sides["train"].tolist() == list(range(12, 50))
    assert notes == ["12 samples of test also stood in train; they were left out of train"]
    assert "validation" not in sides


def test_a_missing_side_is_drawn_from_training():
    ids = scattered(90)
    side = [TRAIN] * 50 + [TEST] * 40
    sides, _ = divide(pool(ids, side=side), SplitSettings(validation=0.2))
    assert [len(sides[name]) for name in ("train", "validation", "test")] == [40, 10, 40]


@pytest.mark.parametrize("seed", range(5))
def test_groups_never_leak(seed):
    rng = np.random.default_rng(seed)
    group = [f"patient {number}" for number in rng.integers(0, 40, 400)]
    samples = pool(scattered(400, seed), rng.integers(0, 3, 400), group=group)
    sides, _ = divide(samples, SplitSettings(split_seed=seed))
    names = [set(samples.group[rows]) for rows in sides.values()]
    assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
    assert sum(map(len, sides.values())) == 400
    assert 40 <= len(sides["test"]) <= 120
    assert 200 <= len(sides["train"]) <= 340


def test_groups_of_the_test_leave_training():
    side = [TRAIN] * 6 + [VALIDATION] * 2 + [TEST] * 2
    group = list("aabbcc") + list("bd") + list("ae")
    sides, notes = divide(pool(scattered(10), side=side, group=group), SplitSettings())
    assert sides["train"].tolist() == [4, 5]
    assert sides["validation"].tolist() == [6, 7]
    assert "4 samples were left out" in notes[0]


def test_too_few_samples_are_refused():
    with pytest.raises(RequestError, match=r"no sample is left for validation; .* 5 different"):
        divide(pool(scattered(5)), SplitSettings())


def test_shares_must_leave_something():
    assert "nothing to train on" in SplitSettings(validation=0.5, test=0.5).check()[0].what


def test_content_ids():
    rows = np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]])
    ids = array_ids(rows)
    assert ids[0] == ids[1] != ids[2]
    assert (ids >= 0).all()
    assert ids[:1].tolist() == content_ids([rows[0].tobytes()]).tolist()


@pytest.mark.parametrize("count", [10, 37, 200])
def test_fewer_training_samples_are_taken_of_all_labels_alike(count):
    from bequest.build.tasks.digits import Digits

    whole, few = Digits().load("digits"), Digits(train_samples=count).load("digits")
    counts = np.bincount(few.splits["train"].targets, minlength=10)
    assert counts.sum() == count
    assert counts.max() - counts.min() <= max(2, count // 50)
    assert np.isin(few.splits["train"].ids, whole.splits["train"].ids).all()
    for side in ("validation", "test"):
        assert np.array_equal(few.splits[side].ids, whole.splits[side].ids)
    assert few.fingerprint != whole.fingerprint
