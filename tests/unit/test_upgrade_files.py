"""Packs of upgrades and files of vectors as strangers may give them."""

from __future__ import annotations

import numpy as np
import pytest

import bequest
from bequest.core.errors import RequestError
from bequest.core.pack import Pack
from bequest.store.packs import write_pack


@pytest.fixture
def place(tmp_path):
    about = {"given": 3, "old_width": 2}
    write_pack(tmp_path / "u.safetensors", Pack("basis", {"basis": np.eye(3, dtype="f4")}, about))
    return tmp_path / "u.safetensors"


def test_a_flipped_bit_is_seen(place):
    found = bytearray(place.read_bytes())
    found[-2] ^= 0x10
    place.write_bytes(found)
    with pytest.raises(RequestError, match="damaged"):
        bequest.load_pack(place)


def test_lists_are_vectors_and_words_are_not(place):
    upgrade = bequest.load_pack(place)
    np.testing.assert_allclose(upgrade.apply([[0.0, 3.0, 4.0]]), [[0, 0.6, 0.8]], atol=1e-6)
    with pytest.raises(ValueError, match="must be"):
        upgrade.apply(np.array([["a", "b", "c"]]))


@pytest.mark.parametrize("kind", ["several", "empty", "words"])
def test_a_file_that_holds_no_vectors_is_refused(place, tmp_path, kind):
    source = tmp_path / "v.npy"
    with source.open("wb") as file:
        if kind == "several":
            np.savez(file, one=np.ones((2, 3)))
        elif kind == "words":
            np.save(file, np.array([["a", "b", "c"]]))
    with pytest.raises(RequestError):
        bequest.load_pack(place).apply_file(source, tmp_path / "out.npy")
    assert not (tmp_path / "out.npy").exists()
