"""The record of finished work: found again, or refused with the reason."""

from __future__ import annotations

import pytest

from bequest.core.errors import ReplayDiverged, StoreError
from bequest.lazy import torch
from bequest.store.journal import Journal, derive


def journal(folder, settings=None, position=(0, 1)):
    return Journal(folder, position, {"torch": "2", **(settings or {})})


def entry(folder, kind="fit", name="model", went_in=None, settings=None):
    return journal(folder, settings).entry(kind, name, went_in or {})


def test_a_seed_is_a_function_of_the_whole_position():
    assert derive(1, "a") == derive(1, "a")
    positions = [(1, "a"), (1, "b"), (2, "a"), (1,), ("1a",), ("1", "a", ""), (11, "a"), (1, "1a")]
    assert len({derive(*position) for position in positions}) == len(positions)
    assert all(0 <= derive(*position) < 2**63 for position in positions)


def test_a_finished_entry_gives_what_was_committed(tmp_path):
    value = {"loss": [1.0, float("inf")], "weights": (torch.arange(3), None)}
    entry(tmp_path).commit(value)
    found = entry(tmp_path).result()
    assert found["loss"] == value["loss"]
    assert torch.equal(found["weights"][0], torch.arange(3))


def test_an_unfinished_entry_is_not_there(tmp_path):
    with pytest.raises(LookupError):
        entry(tmp_path).result()
    entry(tmp_path).save_checkpoint({"step": 3})
    with pytest.raises(LookupError):
        entry(tmp_path).result()


def test_entries_are_told_apart_by_their_place(tmp_path):
    first = journal(tmp_path)
    for number in range(3):
        first.entry("remember", "same", {}).commit(number)
    again = journal(tmp_path)
    assert [again.entry("remember", "same", {}).result() for _ in range(3)] == [0, 1, 2]


def test_seeds_differ_between_entries_steps_and_runs(tmp_path):
    seeds = [
        one.entry("fit", "model", {}).seed
        for position in ((0, 1), (0, 2), (1, 1))
        for one in [journal(tmp_path, position=position)]
        for _ in range(3)
    ]
    assert len(set(seeds)) == 9


def test_the_seed_does_not_depend_on_what_went_in(tmp_path):
    assert entry(tmp_path, went_in={"a": "1"}).seed == entry(tmp_path, went_in={"a": "2"}).seed


def test_a_named_generator_does_not_count_as_an_entry(tmp_path):
    one = journal(tmp_path)
    before = one.seed_of("noise")
    assert one.seed_of("noise") == before != one.seed_of("other")
    assert one.entry("fit", "model", {}).seed == entry(tmp_path).seed


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"went_in": {"weights": "other"}}, "weights: same then, other now"),
        ({"went_in": {"weights": "same", "more": "x"}}, "more: — then, x now"),
        ({"went_in": {}}, "weights: same then, — now"),
        ({"went_in": {"weights": "same"}, "settings": {"torch": "3"}}, "torch: 2 then, 3 now"),
    ],
)
@pytest.mark.parametrize("done", ["commit", "save_checkpoint"])
def test_other_inputs_are_named(tmp_path, changed, said, done):
    getattr(entry(tmp_path, went_in={"weights": "same"}), done)({"x": torch.ones(1)})
    with pytest.raises(ReplayDiverged, match=said) as caught:
        other = entry(tmp_path, **changed)
        other.result() if done == "commit" else other.checkpoint()
    assert "0000-fit-model" in str(caught.value)
    assert "start a new run" in str(caught.value)


def test_only_what_changed_is_named(tmp_path):
    entry(tmp_path, went_in={"weights": "a", "settings": "same"}).commit(1)
    with pytest.raises(ReplayDiverged) as caught:
        entry(tmp_path, went_in={"weights": "b", "settings": "same"}).result()
    assert "settings" not in str(caught.value)


@pytest.mark.parametrize("other", [("remember", "model"), ("fit", "another")])
def test_other_work_at_the_same_place_is_named(tmp_path, other):
    entry(tmp_path).commit(1)
    with pytest.raises(ReplayDiverged, match=r"holds 0000-fit-model where .* asks for 0000-"):
        entry(tmp_path, *other).result()


def test_a_checkpoint_replaces_the_one_before_and_goes_with_the_commit(tmp_path):
    one = entry(tmp_path)
    assert one.checkpoint() is None
    for step in (1, 2):
        one.save_checkpoint({"step": step, "weights": torch.full((2,), float(step))})
    found = entry(tmp_path).checkpoint()
    assert found["step"] == 2
    assert found["weights"].tolist() == [2.0, 2.0]
    one.commit({"done": True})
    assert one.checkpoint() is None
    assert entry(tmp_path).result() == {"done": True}


def test_whoever_waits_is_told_after_the_entry_stands(tmp_path):
    told = []

    def committed(stem):
        told.append((stem, (tmp_path / f"{stem}.json").exists()))

    Journal(tmp_path, (0, 1), {}, committed).entry("fit", "my model / 2", {}).commit(1)
    assert told == [("0000-fit-my-model-2", True)]


@pytest.mark.parametrize("name", ["../../etc/x", "a/b", "", "ä ö", "x" * 300, "..", "a\0b"])
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    one = entry(tmp_path / "journal", name=name)
    one.commit({"x": torch.ones(1)})
    assert [path.name for path in tmp_path.iterdir()] == ["journal"]
    assert all(path.parent == tmp_path / "journal" for path in tmp_path.rglob("*.*"))
    assert torch.equal(entry(tmp_path / "journal", name=name).result()["x"], torch.ones(1))


def test_names_that_look_the_same_on_disk_are_still_told_apart(tmp_path):
    entry(tmp_path, name="a b").commit(1)
    with pytest.raises(ReplayDiverged, match="a b then, a-b now"):
        entry(tmp_path, name="a-b").result()


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_damage_is_never_taken_for_a_result(tmp_path, suffix, harm):
    entry(tmp_path).commit({"x": torch.arange(100.0), "n": 1})
    (path,) = tmp_path.glob(f"*.{suffix}")
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[-20] ^= 1
    path.write_bytes({"cut": content[:-7], "flip": content, "empty": b""}[harm])
    with pytest.raises(StoreError, match="damaged"):
        entry(tmp_path).result()


def test_a_damaged_checkpoint_is_refused(tmp_path):
    one = entry(tmp_path)
    one.save_checkpoint({"x": torch.arange(100.0)})
    path = one.side_file("checkpoint")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError, match="damaged"):
        entry(tmp_path).checkpoint()


def test_forgetting_drops_everything(tmp_path):
    one = journal(tmp_path / "step")
    one.entry("fit", "model", {}).commit({"x": torch.ones(1)})
    one.forget()
    one.forget()
    assert not (tmp_path / "step").exists()
