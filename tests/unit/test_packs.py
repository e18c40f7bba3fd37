"""Packs on disk."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from bequest import Pack, RequestError
from bequest.store.packs import read_pack, write_pack

PACK = Pack(
    "skill",
    {
        "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "bits": torch.tensor([1, 2, 255], dtype=torch.uint8),
        "none": np.empty((0, 4), np.float16),
        "scalar": np.float64(0.5),
    },
    {"ranks": [4, 2], "share": 0.07},
    "abc",
)


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "it.safetensors"
    write_pack(path, PACK)
    return path


def test_what_is_written_is_read_again(written):
    pack = read_pack(written, "skill", whole=True)
    assert (pack.kind, pack.about, pack.base) == (PACK.kind, PACK.about, PACK.base)
    assert pack.tensors.keys() == PACK.tensors.keys()
    for name, values in PACK.tensors.items():
        assert np.array_equal(pack.tensors[name], np.asarray(values))
        assert pack.tensors[name].dtype == np.asarray(values).dtype


def test_other_programs_read_it_as_safetensors(written):
    from safetensors.numpy import load_file

    assert np.array_equal(load_file(written)["weight"], PACK.tensors["weight"])


def test_tensors_can_not_be_written_to(written):
    with pytest.raises(ValueError, match="read-only"):
        read_pack(written).tensors["weight"][0] = 1


def test_another_kind_is_refused(written):
    with pytest.raises(RequestError, match="kind `skill`, not `basis`"):
        read_pack(written, "basis")


def test_a_changed_number_is_seen_when_all_is_read(written):
    content = bytearray(written.read_bytes())
    content[-1] ^= 1
    written.write_bytes(content)
    assert read_pack(written).kind == "skill"
    with pytest.raises(RequestError, match="damaged"):
        read_pack(written, whole=True)


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff" * 64, b'{"json": true}'])
def test_what_is_no_pack_is_said(tmp_path, content):
    (tmp_path / "it").write_bytes(content)
    with pytest.raises(RequestError, match="no pack, or damaged"):
        read_pack(tmp_path / "it")


def test_weights_without_a_word_on_what_they_are_are_no_pack(tmp_path):
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3)}, tmp_path / "it")
    with pytest.raises(RequestError, match="no pack, or damaged"):
        read_pack(tmp_path / "it")


def test_a_later_version_is_refused(written):
    content = written.read_bytes().replace(b'\\"version\\": 1', b'\\"version\\": 7')
    written.write_bytes(content)
    with pytest.raises(RequestError, match="version 7"):
        read_pack(written)


def test_reading_needs_no_torch(written):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from bequest.store.packs import read_pack\n"
        f"print(read_pack(Path({json.dumps(str(written))}), whole=True).tensors['weight'].sum())"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert float(done.stdout) == 15.0
