"""Packs on weights on disk: put on, taken off, checked; refused where they don't belong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from bequest.cli import app
from bequest.core.errors import RequestError
from bequest.core.pack import Pack
from bequest.core.progress import Silent
from bequest.methods.graft._making import METHODS, made
from bequest.ops.forms import sparse, whole
from bequest.store.checkpoints import checkpoint, fingerprint, floats, rounded
from bequest.store.packs import read_pack, size_of, write_pack
from bequest.transfer.merge_files import linear_rule, merged, ties_rule
from bequest.transfer.skill_files import applied, removed, verified
from bequest.transfer.weights import add, fingerprint_of, grafted

SHAPES = {
    "model.embed_tokens.weight": (300, 24),
    "model.layers.0.self_attn.q_proj.weight": (24, 24),
    "model.layers.0.mlp.up_proj.weight": (40, 24),
    "model.norm.weight": (24,),
}


def tensors(seed, dtype=torch.float32):
    draw = torch.Generator().manual_seed(seed)
    found = {
        name: torch.randn(shape, generator=draw).to(dtype) * (0.01 if seed else 1)
        for name, shape in SHAPES.items()
    }
    return found | {"steps": torch.tensor([3])}


@pytest.fixture
def dtype():
    return torch.bfloat16


@pytest.fixture
def folders(dtype, tmp_path):
    """A base in two shards and a tuned model in one."""
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    base.mkdir(), tuned.mkdir()
    own, more = tensors(0, dtype), tensors(1, dtype)
    names = sorted(own)
    save_file({name: own[name] for name in names[:2]}, base / "model-1.safetensors")
    save_file({name: own[name] for name in names[2:]}, base / "model-2.safetensors")
    (base / "config.json").write_text("{}")
    (base / "pytorch_model.bin").write_bytes(b"pickled")
    both = {name: own[name] + more[name] if name in SHAPES else own[name] for name in own}
    save_file(both, tuned / "model.safetensors")
    return base, tuned


def pack_of(base, tuned, path, method="graft", budget=0.5):
    pack = made(base, tuned, method, budget, Silent())
    write_pack(path, pack)
    return path


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.glob("*.safetensors")}


def loaded(folder):
    from safetensors.torch import load_file

    return {
        k: v for file in sorted(folder.glob("*.safetensors")) for k, v in load_file(file).items()
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", METHODS)
def test_a_pack_is_put_on_and_taken_off_to_the_bit(folders, tmp_path, method):
    base, tuned = folders
    before = contents(base)
    path = pack_of(base, tuned, tmp_path / "skill.safetensors", method)
    assert size_of(read_pack(path)) == path.stat().st_size
    record = applied(base, [path], tmp_path / "with")
    assert record["packs"] == ["skill"]
    own = torch.nn.Module()  # the same pack on a live model
    for name, value in loaded(base).items():
        if value.is_floating_point():
            own.register_buffer(name.replace(".", "-"), value.clone())
    pack = read_pack(path)
    renamed = {name.replace(".", "-"): one for name, one in pack.about["parts"].items()}
    data = {name.replace(".", "-"): one for name, one in pack.tensors.items()}
    add(own, Pack("skill", data, {"parts": renamed}))
    for name, value in loaded(tmp_path / "with").items():
        if value.is_floating_point():
            assert torch.equal(value, getattr(own, name.replace(".", "-"))), name
    assert (tmp_path / "with" / "config.json").exists()
    assert not (tmp_path / "with" / "pytorch_model.bin").exists()
    assert verified(tmp_path / "with", base)["base"] == record["base"]
    removed(tmp_path / "with", "skill", tmp_path / "without")
    assert contents(tmp_path / "without") == before == contents(base)


def test_the_whole_delta_gives_the_tuned_model(folders, tmp_path):
    base, tuned = folders
    path = pack_of(base, tuned, tmp_path / "skill.safetensors", "delta")
    applied(base, [path], tmp_path / "with")
    expected = loaded(tuned)
    for name, value in loaded(tmp_path / "with").items():
        close = 1e-6 if value.dtype == torch.float32 else 1e-2
        assert torch.allclose(value.float(), expected[name].float(), atol=close)


def test_one_of_two_packs_is_taken_off(folders, tmp_path):
    base, tuned = folders
    one = pack_of(base, tuned, tmp_path / "one.safetensors")
    other = pack_of(base, tuned, tmp_path / "other.safetensors", "magnitude", 0.3)
    applied(base, [one], tmp_path / "with-one")
    applied(base, [one, other], tmp_path / "with-both")
    assert contents(tmp_path / "with-both") != contents(tmp_path / "with-one")
    removed(tmp_path / "with-both", "other", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "with-one")


def test_a_pack_of_another_base_is_refused_and_leaves_nothing(folders, tmp_path):
    base, tuned = folders
    path = pack_of(base, tuned, tmp_path / "skill.safetensors")
    with pytest.raises(RequestError, match="belongs to the base"):
        applied(tuned, [path], tmp_path / "with")
    with pytest.raises(RequestError, match="belongs to the base"):
        verified(path, tuned)
    assert {each.name for each in tmp_path.iterdir()} == {"base", "tuned", "skill.safetensors"}


def test_a_base_that_moved_or_changed_is_noticed(folders, tmp_path):
    base, tuned = folders
    path = pack_of(base, tuned, tmp_path / "skill.safetensors")
    applied(base, [path], tmp_path / "with")
    base.rename(tmp_path / "moved")
    with pytest.raises(RequestError, match="--base"):
        removed(tmp_path / "with", "skill", tmp_path / "without")
    with pytest.raises(RequestError, match="is not the base"):
        removed(tmp_path / "with", "skill", tmp_path / "without", tuned)
    assert not (tmp_path / "without").exists()
    removed(tmp_path / "with", "skill", tmp_path / "without", tmp_path / "moved")
    assert contents(tmp_path / "without") == contents(tmp_path / "moved")


def test_changed_weights_are_noticed(folders, tmp_path):
    base, tuned = folders
    applied(base, [pack_of(base, tuned, tmp_path / "skill.safetensors")], tmp_path / "with")
    file = tmp_path / "with" / "model-1.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(RequestError, match="were changed"):
        verified(tmp_path / "with")


def test_a_live_model_has_the_fingerprint_of_its_files(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    assert fingerprint(checkpoint(tmp_path)) == fingerprint_of(module)


def test_rounding_is_torchs():
    values = torch.randn(10_000) * torch.logspace(-42, 38, 10_000)
    values[:3] = torch.tensor([float("nan"), float("inf"), -0.0])
    for kind, dtype in (("BF16", torch.bfloat16), ("F16", torch.float16)):
        expected = values.to(dtype)
        found = torch.from_numpy(rounded(values.numpy(), kind).view(np.int16).copy()).view(dtype)
        assert torch.equal(found.nan_to_num(7), expected.nan_to_num(7))
        back = torch.from_numpy(floats(rounded(values.numpy(), kind).view(np.uint8), kind))
        assert torch.equal(back.nan_to_num(7), expected.float().nan_to_num(7))


def test_models_that_are_not_alike_are_refused(folders, tmp_path):
    base, _ = folders
    other = tmp_path / "other"
    other.mkdir()
    save_file({"model.norm.weight": torch.zeros(7)}, other / "model.safetensors")
    with pytest.raises(RequestError, match="differ in 4 weights"):
        made(base, other, "graft", 0.1, Silent())
    with pytest.raises(RequestError, match="the same weights"):
        made(base, base, "graft", 0.1, Silent())


@pytest.mark.parametrize("kinds", [(torch.float64,) * 2, (torch.float32, torch.float64)])
def test_a_change_that_no_pack_can_hold_is_said(folders, tmp_path, kinds):
    for name, kind, value in zip(("one", "other"), kinds, (0.0, 1.0), strict=True):
        (tmp_path / name).mkdir()
        tensors = {"model.norm.weight": torch.full((7,), value, dtype=kind)}
        save_file(tensors, tmp_path / name / "model.safetensors")
    with pytest.raises(RequestError, match=r"`model\.norm\.weight` differs and is F"):
        made(tmp_path / "one", tmp_path / "other", "delta", 0.1, Silent())


def test_a_pack_of_another_shape_is_refused(folders, tmp_path):
    base, _ = folders
    kept = whole(np.zeros((2, 2), np.float32))
    about = {"parts": {"model.norm.weight": kept.about}}
    write_pack(tmp_path / "odd.safetensors", Pack("skill", {"model.norm.weight": kept.data}, about))
    with pytest.raises(
        RequestError, match=r"has no weight .model\.norm\.weight. of shape \[2, 2\]"
    ):
        applied(base, [tmp_path / "odd.safetensors"], tmp_path / "with")


def test_commands_and_their_exit_codes(folders, tmp_path):
    base, tuned = map(str, folders)
    path, out = str(tmp_path / "skill.safetensors"), str(tmp_path / "with")
    asked = CliRunner().invoke

    def told(*words):
        found = asked(app, ["pack", *words, "--json"])
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    about = told("make", base, tuned, "--out", path, "--budget", "0.5")
    assert about["bytes"] <= 0.5 * about["bytes"] / about["share_of_float16"] + 400
    assert told("show", path)["forms"] == {"directions": 2, "sparse": 1, "whole": 1}
    assert told("verify", path, "--base", base)["weights"] == 4
    assert told("apply", base, path, "--out", out)["packs"] == ["skill"]
    assert told("remove", out, "skill", "--out", str(tmp_path / "without"))["packs"] == []
    shutil.rmtree(out)
    for wrong in (
        ["apply", tuned, path, "--out", out],
        ["apply", base, base, "--out", out],
        ["make", base, tuned, "--out", str(tmp_path / "x.safetensors"), "--method", "grft"],
        ["remove", base, "skill", "--out", out],
        ["show", str(tmp_path / "none")],
    ):
        found = asked(app, ["pack", *wrong])
        assert isinstance(found.exception, RequestError), wrong
    assert asked(app, ["pack", "make", base, tuned, "--out", path]).exit_code


def test_no_torch_is_needed(folders, tmp_path):
    base, tuned = folders
    path = pack_of(base, tuned, tmp_path / "skill.safetensors")
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from bequest.transfer.skill_files import applied, removed, verified\n"
        "base, path, out, without = map(Path, sys.argv[1:])\n"
        "applied(base, [path], out); verified(out, base); removed(out, 'skill', without)\n"
    )
    places = [base, path, tmp_path / "with", tmp_path / "without"]
    subprocess.run([sys.executable, "-c", program, *map(str, places)], check=True)


@pytest.mark.parametrize("shape", [[0, 4], [1, 1 << 40], [8, 1 << 30]])
def test_a_shape_for_which_no_bytes_stand_takes_no_memory(tmp_path, shape):
    about = {"form": "directions", "shape": shape, "groups": [], "groupsize": -1}
    pack = Pack("skill", {"w": np.zeros(0, np.uint8)}, {"parts": {"w": about}})
    write_pack(tmp_path / "p.safetensors", pack)
    with pytest.raises(RequestError, match="damaged"):
        verified(tmp_path / "p.safetensors")


def test_weights_of_64_bits_are_part_of_the_fingerprint(tmp_path):
    module = torch.nn.Linear(3, 2).double()
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    assert fingerprint(checkpoint(tmp_path)) == fingerprint_of(module)
    save_file({**module.state_dict(), "bias": module.bias + 1}, tmp_path / "model.safetensors")
    assert fingerprint(checkpoint(tmp_path)) != fingerprint_of(module)
    with pytest.raises(RequestError, match="16 or 32 bits"):
        merged(tmp_path, [tmp_path], tmp_path / "out", linear_rule([1.0]))


def test_a_live_model_refuses_a_pack_of_another_shape():
    kept = whole(np.ones((2, 3), np.float32))
    pack = Pack("skill", {"weight": kept.data}, {"parts": {"weight": kept.about}})
    with pytest.raises(RequestError, match="no weight `weight` of shape"):
        add(torch.nn.Linear(2, 3), pack)


def test_a_damaged_pack_leaves_a_live_model_as_it_was():
    model, delta = torch.nn.Linear(1 << 16, 2), np.zeros((2, 1 << 16), np.float32)
    before = model.bias.detach().clone()
    delta[0, [3, 5]] = 1
    one, bad = whole(np.ones(2, np.float32)), sparse(delta, delta > 0)
    bad.data[-4:] = [5, 0, 3, 0]  # places must rise
    parts = {"bias": one.about, "weight": bad.about}
    pack = Pack("skill", {"bias": one.data, "weight": bad.data}, {"parts": parts})
    with pytest.raises(RequestError, match="damaged"), grafted(model, pack):
        pass
    assert torch.equal(model.bias, before)


def test_a_base_with_packs_of_its_own_comes_back_with_them(folders, tmp_path):
    base, tuned = folders
    first = pack_of(base, tuned, tmp_path / "first.safetensors", "delta")
    applied(base, [first], tmp_path / "one")
    kept = whole(np.ones(24, np.float32))
    name = "model.norm.weight"
    pack = Pack("skill", {name: kept.data}, {"parts": {name: kept.about}})
    write_pack(tmp_path / "second.safetensors", pack)
    applied(tmp_path / "one", [tmp_path / "second.safetensors"], tmp_path / "two")
    removed(tmp_path / "two", "second", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "one")
    assert verified(tmp_path / "back")["packs"] == ["first"]


@pytest.mark.parametrize("lie", [{"base_path": "a" * 5000}, {"packs": ["\ud800"]}])
def test_a_record_that_cannot_be_is_a_problem(folders, tmp_path, lie):
    base, tuned = folders
    applied(base, [pack_of(base, tuned, tmp_path / "p.safetensors")], tmp_path / "out")
    record = tmp_path / "out" / "bequest_packs.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **lie}))
    with pytest.raises(RequestError):
        removed(tmp_path / "out", "p", tmp_path / "back")


def test_empty_weights_are_merged(tmp_path):
    save_file({"w": torch.ones(2, 2), "none": torch.ones(0, 2), "ids": torch.ones(0).long()},
              tmp_path / "model.safetensors")  # fmt: skip
    for number, rule in enumerate([ties_rule([1.0], 0.5), linear_rule([1.0])]):
        merged(tmp_path, [tmp_path], tmp_path / f"{number}", rule)
        assert contents(tmp_path / f"{number}") == contents(tmp_path)


def test_a_tensor_of_endless_dimensions_is_no_work(tmp_path):
    one = {"dtype": "U8", "shape": [10**18] * 400_000, "data_offsets": [0, 0]}
    text = json.dumps({"w": one}).encode()
    place = tmp_path / "model.safetensors"
    place.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(RequestError, match="damaged"):
        checkpoint(place)


def test_what_a_pack_says_of_itself_gives_no_orders_to_a_terminal(tmp_path):
    pack = Pack("skill", {}, {"method": "\x1b[2J" + "a" * 500}, base="\x1b]0;x\x07")
    write_pack(tmp_path / "p.safetensors", pack)
    shown = CliRunner().invoke(app, ["pack", "show", str(tmp_path / "p.safetensors")])
    assert shown.exit_code == 0
    assert "\x1b" not in shown.output
    assert max(map(len, shown.output.splitlines())) < 200 + len(str(tmp_path))
