"""Which files of a folder hold its model: only those that an index names, and all of those."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from bequest.core.errors import RequestError
from bequest.core.progress import Silent
from bequest.methods.graft._making import made
from bequest.store.checkpoints import checkpoint, copy_rest
from bequest.store.weight_files import weight_files

INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def sharded(folder, by=0.0, index=None):
    """Two weights in two shards with their index."""
    folder.mkdir()
    for number, name in enumerate(SHARDS):
        save_file({f"w{number}": np.full((2, 2), number + by, np.float32)}, folder / name)
    told = {f"w{number}": name for number, name in enumerate(SHARDS)} if index is None else index
    (folder / INDEX).write_text(json.dumps({"weight_map": told}))
    return folder


def test_only_what_the_index_names_is_read_and_written(tmp_path):
    base, tuned = sharded(tmp_path / "base"), sharded(tmp_path / "tuned", 0.5)
    for folder in (base, tuned):
        save_file({"w": np.ones((2, 2), np.float32)}, folder / "consolidated.safetensors")
    assert [file.name for file in weight_files(base).left_out] == ["consolidated.safetensors"]
    assert list(checkpoint(base).tensors) == ["w0", "w1"]
    assert set(made(base, tuned, "delta", 0.1, Silent()).tensors) == {"w0", "w1"}
    (tmp_path / "out").mkdir()
    copy_rest(checkpoint(base), tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == [INDEX]


def test_without_an_index_the_file_that_transformers_reads_is_read(tmp_path):
    save_file({"w": np.zeros(2, np.float32)}, tmp_path / "model.safetensors")
    save_file({"w": np.ones(2, np.float32)}, tmp_path / "model.fp16.safetensors")
    save_file({"layers.w": np.ones(2, np.float32)}, tmp_path / "consolidated.safetensors")
    assert [file.name for file in weight_files(tmp_path).files] == ["model.safetensors"]
    assert not checkpoint(tmp_path).tensors["w"].bytes().any()


def test_a_missing_shard_is_named_with_and_without_an_index(tmp_path):
    folder = sharded(tmp_path / "it")
    (folder / SHARDS[1]).unlink()
    for _ in range(2):
        with pytest.raises(RequestError, match=rf"lacks `{SHARDS[1]}`"):
            checkpoint(folder)
        (folder / INDEX).unlink(missing_ok=True)


def test_two_sets_of_weights_are_refused(tmp_path):
    folder = sharded(tmp_path / "it")
    save_file({"w0": np.ones((2, 2), np.float32)}, folder / "model.safetensors")
    with pytest.raises(RequestError, match="two sets of weights"):
        checkpoint(folder)


@pytest.mark.parametrize("told", [
    {"w0": SHARDS[0], "w9": SHARDS[1]},  # w1 is not named, w9 is nowhere
    {"w0": SHARDS[0], "w1": SHARDS[1], "w2": SHARDS[1]},  # one that no file holds
    {"w0": SHARDS[1], "w1": SHARDS[0]},
])  # fmt: skip
def test_an_index_that_disagrees_with_its_files_is_refused(tmp_path, told):
    with pytest.raises(RequestError, match="differ in `w"):
        checkpoint(sharded(tmp_path / "it", index=told))


@pytest.mark.parametrize(
    "name", ["../base/model.safetensors", "/etc/passwd", "sub/m.safetensors", "model.bin", 3, ""]
)
def test_an_index_that_points_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(RequestError, match="no safetensors file of this folder"):
        weight_files(sharded(tmp_path / "it", index={"w0": name}))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": [1]}'])
def test_a_damaged_index_is_a_problem(tmp_path, text):
    folder = sharded(tmp_path / "it")
    (folder / INDEX).write_text(text)
    with pytest.raises(RequestError):
        weight_files(folder)


def test_adapters_are_no_whole_model(tmp_path):
    save_file({"lora_A": np.ones(2, np.float32)}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(RequestError, match="holds adapters"):
        checkpoint(tmp_path)
