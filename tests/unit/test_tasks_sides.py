"""Sides of a data set: nothing stands on two of them."""

import contextlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bequest.build.settings import SplitSettings
from bequest.build.splitting import (
    TEST,
    TRAIN,
    VALIDATION,
    Pool,
    array_ids,
    content_ids,
    divide,
    sampled,
    share_of,
)
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


def test_shares_are_met_on_average_overall_and_per_label():
    samples = pool(scattered(40_000), np.arange(40_000) % 4)
    sides, notes = divide(samples, SplitSettings())
    shares = {name: len(rows) / 40_000 for name, rows in sides.items()}
    # four standard deviations of a share of so many
    assert shares == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.01)
    of_test = np.bincount(samples.targets[sides["test"]]) / 10_000
    assert of_test == pytest.approx([0.2] * 4, abs=0.016)
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
    assert sides["test"].tolist() == list(range(50, 90))
    both = np.sort(np.r_[sides["train"], sides["validation"]])
    assert both.tolist() == list(range(50))
    assert 3 <= len(sides["validation"]) <= 19


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
    with pytest.raises(RequestError, match=r"no sample is left for test; .* 2 different"):
        divide(pool([1, 2]), SplitSettings(test=0.0001))


def test_another_seed_is_named_that_gives_every_side_a_sample():
    samples, shares = pool(scattered(4, 1)), SplitSettings(validation=0, test=0.05, split_seed=0)
    with pytest.raises(RequestError, match="no sample is left for test") as refused:
        divide(samples, shares)
    seed = int(re.search(r"`split_seed: ([0-9]+)`", str(refused.value))[1])
    sides, _ = divide(samples, shares.model_copy(update={"split_seed": seed}))
    assert all(len(rows) for rows in sides.values())


def test_where_no_seed_was_named_few_samples_are_drawn_again_with_a_note():
    samples, shares = pool(scattered(4, 1)), SplitSettings(validation=0, test=0.05)
    sides, (note,) = divide(samples, shares)
    assert all(len(rows) for rows in sides.values())
    assert note.startswith("no sample fell on test, so the sides were drawn again: write `split_se")
    seed = int(re.search(r"`split_seed: ([0-9]+)`", note)[1])
    named, _ = divide(samples, shares.model_copy(update={"split_seed": seed}))
    assert {side: rows.tolist() for side, rows in named.items()} == {
        side: rows.tolist() for side, rows in sides.items()
    }


def test_a_validation_side_that_no_sample_falls_on_is_left_out():
    few = SplitSettings(validation=0.001)
    sides, notes = divide(pool(scattered(50)), few)
    assert set(sides) == {"train", "test"}
    assert notes == ["no sample fell on validation, a share of 0.001"]


def test_a_validation_file_that_is_all_in_the_test_is_not_replaced():
    ids, side = scattered(50), [TRAIN] * 40 + [VALIDATION] * 5 + [TEST] * 5
    ids[40:45] = ids[45:]
    with pytest.raises(RequestError, match="no sample is left for validation"):
        divide(pool(ids, side=side), SplitSettings())


def test_a_larger_share_takes_from_training_alone():
    samples = pool(scattered(500))
    small, large = (
        ids_of(samples, divide(samples, SplitSettings(test=share))[0]) for share in (0.2, 0.4)
    )
    assert small["test"] < large["test"]
    assert small["validation"] == large["validation"]


IDS = st.lists(st.integers(0, 2**62), min_size=40, max_size=120, unique=True)


@pytest.mark.parametrize("grouped", [False, True])
@settings(max_examples=25)
@given(ids=IDS, seed=st.integers(0, 99), gone=st.sets(st.integers(0, 39), max_size=9))
def test_rows_that_come_or_go_move_no_other_sample(grouped, ids, seed, gone):
    shares = SplitSettings(split_seed=seed, test=0.4, validation=0.3)
    fewer = [one for place, one in enumerate(ids) if place not in gone][::-1]
    whole, part = (
        pool(some, group=[f"g{one % 97}" for one in some] if grouped else None)
        for some in (ids, fewer)
    )
    with contextlib.suppress(RequestError):  # a side may be left without a sample, and is refused
        before = ids_of(whole, divide(whole, shares)[0])
        after = ids_of(part, divide(part, shares)[0])
        assert after == {name: before[name] & set(fewer) for name in before}


@settings(max_examples=25)
@given(ids=IDS, most=st.integers(1, 50), gone=st.integers(0, 39))
def test_one_row_less_changes_one_of_those_chosen_at_most(ids, most, gone):
    left = [*ids[:gone], *ids[gone + 1 :]]
    first, second = ({some[row] for row in sampled(np.array(some), most)} for some in (ids, left))
    assert len(first) == min(most, len(ids))
    assert len(second - first) <= 1


def test_what_is_chosen_favours_no_side():
    ids = scattered(4000)
    chosen = ids[sampled(ids, 1000)]
    sides, _ = divide(pool(chosen), SplitSettings())
    assert 150 <= len(sides["test"]) <= 250
    for share in range(2):
        part = ids[share_of(ids, 2) == share]
        assert 1800 <= len(part) <= 2200
        assert len(np.intersect1d(part, chosen)) == pytest.approx(500, abs=80)
        assert len(divide(pool(part), SplitSettings())[0]["test"]) == pytest.approx(400, abs=80)


def test_a_repeat_in_two_groups_is_of_the_same_one_in_any_order():
    ids, group = np.r_[scattered(60), scattered(1)], [f"g{n % 20}" for n in range(60)] + ["g9"]
    samples = pool(ids, group=group)
    turned = samples.take(np.arange(61)[::-1])
    assert ids_of(samples, divide(samples, SplitSettings())[0]) == ids_of(
        turned, divide(turned, SplitSettings())[0]
    )


def test_shares_must_leave_something():
    assert "nothing to train on" in SplitSettings(validation=0.5, test=0.5).check()[0].what


def test_content_ids():
    rows = np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]])
    ids = array_ids(rows)
    assert ids[0] == ids[1] != ids[2]
    assert (ids >= 0).all()
    assert ids[:1].tolist() == content_ids([rows[0].tobytes()]).tolist()


@pytest.mark.parametrize("count", [10, 37, 200])
def test_fewer_training_samples_are_the_same_share_of_every_label(count):
    from bequest.build.tasks.digits import Digits

    whole, few = Digits().load("digits"), Digits(train_samples=count).load("digits")
    counts = np.bincount(few.splits["train"].targets, minlength=10)
    assert counts.sum() == count
    of_all = np.bincount(whole.splits["train"].targets)
    assert np.abs(counts - count * of_all / of_all.sum()).max() <= 1
    assert np.isin(few.splits["train"].ids, whole.splits["train"].ids).all()
    for side in ("validation", "test"):
        assert np.array_equal(few.splits[side].ids, whole.splits[side].ids)
    assert few.fingerprint != whole.fingerprint


def test_fewer_training_samples_have_every_label_while_that_is_possible():
    samples = pool(scattered(300), np.r_[np.zeros(270), np.repeat(np.arange(1, 6), 6)].astype(int))
    few, _ = divide(samples, SplitSettings(train_samples=6, validation=0))
    assert sorted(samples.targets[few["train"]]) == [0, 1, 2, 3, 4, 5]
    more, _ = divide(samples, SplitSettings(train_samples=60, validation=0))
    assert set(few["train"]) < set(more["train"])
