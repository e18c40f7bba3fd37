"""Tensors and nested values on disk: what comes back is what went in."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bequest.core.errors import StoreError
from bequest.lazy import torch
from bequest.store.tensors import digest, flatten, load_tensors, save_tensors, unflatten

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "int8", "bool"]


def round_trip(path, tensors):
    save_tensors(path, tensors)
    return load_tensors(path)


def equal(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_every_type_and_shape(tmp_path, dtype, shape):
    tensor = torch.arange(math.prod(shape)).reshape(shape).to(getattr(torch, dtype))
    assert equal(round_trip(tmp_path / "t.safetensors", {"x": tensor})["x"], tensor)


def test_bits_that_compare_strangely(tmp_path):
    odd = torch.tensor([float("nan"), -0.0, 0.0, float("inf"), 1e-45])
    back = round_trip(tmp_path / "t.safetensors", {"x": odd})["x"]
    assert torch.equal(back.view(torch.int32), odd.view(torch.int32))


def test_views_are_stored_as_what_they_show(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    views = {
        "rows": base[1:3],
        "columns": base[:, 2],
        "turned": base.T,
        "wide": base[:1].expand(3, 6),
    }
    back = round_trip(tmp_path / "t.safetensors", views)
    assert all(equal(back[name], view) for name, view in views.items())
    assert (tmp_path / "t.safetensors").stat().st_size < 1500


def test_shared_memory_is_stored_once_and_comes_back_under_both_names(tmp_path):
    whole = torch.randn(1000)
    back = round_trip(tmp_path / "t.safetensors", {"a": whole, "b": whole, "c": whole.clone()})
    assert all(equal(back[name], whole) for name in "abc")
    assert 8000 < (tmp_path / "t.safetensors").stat().st_size < 9000


def test_the_same_place_with_another_shape_is_another_tensor(tmp_path):
    whole = torch.arange(6.0)
    tensors = {"flat": whole, "square": whole.reshape(2, 3), "bits": whole.view(torch.int32)}
    back = round_trip(tmp_path / "t.safetensors", tensors)
    assert all(equal(back[name], tensor) for name, tensor in tensors.items())


def test_parameters_are_stored_without_their_graph(tmp_path):
    back = round_trip(tmp_path / "t.safetensors", {"x": torch.nn.Parameter(torch.ones(2))})["x"]
    assert type(back) is torch.Tensor
    assert not back.requires_grad


def test_nothing_at_all(tmp_path):
    assert round_trip(tmp_path / "t.safetensors", {}) == {}


def test_the_same_tensors_give_the_same_bytes(tmp_path):
    tensors = {name: torch.arange(5.0) + place for place, name in enumerate("zebra")}
    tensors["alias"] = tensors["z"]
    for number in range(5):
        save_tensors(tmp_path / str(number), tensors, {"one": "1", "two": "2"})
    assert len({(tmp_path / str(number)).read_bytes() for number in range(5)}) == 1


def test_writing_again_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "t.safetensors"
    save_tensors(path, {"x": torch.zeros(3)})
    assert equal(round_trip(path, {"x": torch.ones(2)})["x"], torch.ones(2))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff" * 64, b'{"json": true}'])
def test_what_is_no_such_file_is_said_to_be_damaged(tmp_path, content):
    path = tmp_path / "t.safetensors"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        load_tensors(path)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(StoreError, match="could not be read"):
        load_tensors(tmp_path / "none.safetensors")


leaves = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=5)
)
keys = st.text(max_size=4) | st.integers(-9, 9) | st.sampled_from(["$tensor", "$tuple", "$"])
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


@given(values)
@settings(max_examples=150, deadline=None)
def test_any_nested_value_comes_back(value):
    skeleton, tensors = flatten(value)
    assert not tensors
    assert repr(unflatten(through_json(skeleton), tensors)) == repr(value)


def through_json(value):
    return json.loads(json.dumps(value, allow_nan=False))


def test_tensors_and_arrays_anywhere_in_a_value():
    value = {
        "rows": [torch.ones(2), (np.arange(3), {7: torch.zeros(()), "seven": np.float32(0.5)})],
        "scalar": np.array(4.0),
        "empty": np.zeros((0, 3), dtype=np.float32),
        "flags": np.array([True, False]),
        "turned": np.arange(6).reshape(2, 3).T,
    }
    skeleton, tensors = flatten(value)
    back = unflatten(through_json(skeleton), tensors)
    assert torch.equal(back["rows"][0], torch.ones(2))
    array, inner = back["rows"][1]
    assert isinstance(array, np.ndarray)
    assert array.tolist() == [0, 1, 2]
    assert torch.equal(inner[7], torch.zeros(()))
    assert inner["seven"] == 0.5
    for name in ("scalar", "empty", "flags", "turned"):
        np.testing.assert_array_equal(back[name], value[name], strict=True)


def test_a_read_only_array_is_taken_without_a_warning():
    array = np.arange(3)
    array.flags.writeable = False
    skeleton, tensors = flatten(array)
    assert unflatten(skeleton, tensors).tolist() == [0, 1, 2]


@pytest.mark.parametrize("thing", [object(), {1, 2}, b"bytes", {"deep": [object()]}, {(1, 2): 3}])
def test_what_can_not_be_kept_is_refused(thing):
    with pytest.raises(TypeError, match="journal"):
        flatten(thing)


def test_a_digest_is_of_names_types_shapes_and_bits():
    base = {"a": torch.arange(6.0), "b": torch.zeros(())}
    others = [
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"].reshape(2, 3), "b": base["b"]},
        {"a": base["a"].double(), "b": base["b"]},
        {"a": base["a"].view(torch.int32), "b": base["b"]},
        {"a": base["a"], "b": torch.tensor(-0.0)},
        {"a": base["a"]},
    ]
    digests = [digest(tensors) for tensors in (base, *others)]
    assert len(set(digests)) == len(digests)
    assert digest({name: tensor.clone() for name, tensor in base.items()}) == digests[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_digest_takes_every_type_layout_and_emptiness(dtype):
    tensor = torch.arange(6).reshape(2, 3).to(getattr(torch, dtype))
    assert digest({"x": tensor.T}) == digest({"x": tensor.T.contiguous()})
    assert digest({"x": tensor[:0]}) != digest({"x": tensor[:, :0]})


def test_tensors_are_read_into_others_where_they_are(tmp_path):
    path = tmp_path / "t.safetensors"
    values = {"a": torch.randn(3, 4), "b": torch.randn(5), "c": torch.ones(2)}
    save_tensors(path, {**values, "again": values["a"]})
    into = {
        "a": torch.zeros(3, 4),
        "again": torch.zeros(3, 4),
        "b": torch.zeros(5, dtype=torch.float64),
        "c": torch.zeros(4)[::2],
    }
    found = load_tensors(path, into)
    assert all(found[name] is tensor for name, tensor in into.items())
    assert all(torch.equal(into[name], values[name].to(into[name])) for name in values)
    assert torch.equal(into["again"], values["a"])


def test_what_does_not_fit_is_said(tmp_path):
    path = tmp_path / "t.safetensors"
    save_tensors(path, {"a": torch.zeros(3, 4)})
    with pytest.raises(StoreError, match=r"holds \(3, 4\) where \(12,\) belongs"):
        load_tensors(path, {"a": torch.zeros(12)})


def test_other_programs_can_read_what_is_written(tmp_path):
    from safetensors.torch import load_file

    path = tmp_path / "t.safetensors"
    tensors = {"a": torch.randn(3), "b": torch.ones(2, dtype=torch.bool), "c": torch.zeros(0)}
    save_tensors(path, tensors)
    assert all(equal(load_file(path)[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [0, 2**70], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]},
        [],
    ],
)
def test_headers_that_lie_are_refused(tmp_path, entry):
    path = tmp_path / "t.safetensors"
    text = json.dumps({"__metadata__": {"bequest": "{}"}, "x": entry}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 4)
    with pytest.raises(StoreError, match="damaged"):
        load_tensors(path)


def test_a_header_of_any_length_takes_no_memory(tmp_path):
    path = tmp_path / "t.safetensors"
    path.write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with pytest.raises(StoreError, match="longer than the file"):
        load_tensors(path)
