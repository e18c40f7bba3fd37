"""Files that were damaged or made from something else: noticed, and the work done again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dying import record, resume_here, said_by

import bequest
from bequest.core.errors import StaleCache, StoreError

pytestmark = pytest.mark.usefixtures("one_thread")


def flip(path, place):
    """Turn one bit of a file, at a share of its length."""
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 4
    path.write_bytes(data)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-7])


def in_middle(path):
    flip(path, 0.5)


def at_end(path):
    flip(path, 1)


DAMAGED = [
    "journal/seed-0/0001-step-teach.json",
    "journal/seed-0/0001-step-teach.safetensors",
    "journal/seed-0/distil/0001-fit-model.checkpoint",
    "models/teach/student/seed-0/model.safetensors",
    "journal/seed-0/distil/0000-recall-logits.npy",
    "journal/seed-0/distil/0000-recall-logits.cache.json",
]


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_noticed_and_done_again(name, cut, tiny):
    whole = (cut / name).read_bytes()
    for damage in (cut_short, in_middle, at_end, os.unlink):
        if damage is os.unlink and name.endswith((".json", ".checkpoint")):
            continue  # then it was never done
        damage(cut / name)
        with pytest.raises((StoreError, StaleCache), match="; delete ") as caught:
            bequest.run(tiny.recipe, out=cut, resume=True)
        assert str(cut / name) in str(caught.value)
        told = str(caught.value).partition("; delete ")[2].partition(" and resume")[0]
        (cut / name).write_bytes(whole)
    damage(cut / name)
    Path(told).unlink(missing_ok=True)
    resume_here(tiny, cut)


def test_every_bit_of_a_tensor_file_counts(tmp_path):
    import torch

    from bequest.store.tensors import load_tensors, save_tensors

    path = tmp_path / "some.safetensors"
    weight = torch.arange(6.0)
    save_tensors(
        path, {"a": weight, "b": weight, "c": torch.zeros(2, dtype=torch.int8)}, {"n": "x"}
    )
    whole = path.read_bytes()
    assert torch.equal(load_tensors(path)["b"], weight)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = load_tensors(path)
        except StoreError:
            continue
        assert chr(whole[place]) == " ", f"byte {place} changed unnoticed"
        assert torch.equal(found["b"], weight)


def test_outputs_of_another_teacher_are_refused(cut, tiny):
    from bequest.store.files import read_sealed, write_sealed

    cache = cut / "journal/seed-0/distil/0000-recall-logits.cache.json"
    write_sealed(cache, {**read_sealed(cache), "weights": "0123"})
    with pytest.raises(StaleCache, match="made from other weights"):
        bequest.run(tiny.recipe, out=cut, resume=True)


def test_other_versions_are_refused(cut, tiny, capsys):
    run_json = cut / "run.json"
    said = record(cut)["versions"]["torch"]
    whole = run_json.read_text()
    run_json.write_text(whole.replace(f'"torch": "{said}"', '"torch": "1.0"'))
    code, told = said_by(capsys, "run", tiny.recipe, "--out", cut, "--resume")
    assert code == 3
    assert f'torch: "1.0" -> "{said}"' in told
    run_json.write_text(whole)
    resume_here(tiny, cut)
