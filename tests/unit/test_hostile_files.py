"""Files from strangers, as the fuzzer found them to matter: refused in words, nothing run."""

import json
import shutil
import struct
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import specimens
import torch
from language_models import language_model
from specimens import write_gguf

from bequest.build.bounds import no_larger_than, refuse_counts
from bequest.build.gguf_header import elements_in
from bequest.core.errors import Problem, RequestError, StoreError
from bequest.core.find import find
from bequest.runner.result import Run
from bequest.store.journal import Journal
from bequest.store.tensors import save_tensors


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    language_model(folder / "model", layers=1, width=16)
    write_gguf(folder / "model.gguf")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made / "model", tmp_path / "model")
    return tmp_path / "model"


def hf(path, labels=()):
    return find("models", "hf")(path=str(path)).build((), "text", labels)


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


# --- Models of the Hugging Face kind --------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("num_hidden_layers", 10**9, "`num_hidden_layers` is 1,000,000,000"),
        ("num_hidden_layers", 60_000, "more weights than its files hold"),
        ("num_labels", 10**9, "`num_labels` is 1,000,000,000"),
        ("hidden_size", 2**30, "more weights than its files hold"),
        ("vocab_size", 2**40, "more weights than its files hold"),
        ("intermediate_size", 2**40, "more weights than its files hold"),
    ],
)
def test_sizes_that_the_weights_dont_have_take_no_memory(folder, field, value, said):
    edit(folder / "config.json", **{field: value})
    with pytest.raises(RequestError, match=said):
        hf(folder)


def test_weights_in_pickles_beside_safetensors_are_not_opened(folder):
    save_tensors(folder / "other.safetensors", {"a": torch.zeros(2)})
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(RequestError, match=r"has neither model\.safetensors nor"):
        hf(folder)


def test_a_folder_that_sends_the_reader_elsewhere_is_refused(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}')
    with pytest.raises(RequestError, match="holds adapters"):
        hf(folder)


def test_settings_for_generating_in_a_folder_change_nothing(folder):
    before = hf(folder).complete(["the cat"], 6)
    told = {"num_beams": 3, "repetition_penalty": 9.0, "max_length": 10**15, "min_length": 10**15}
    (folder / "generation_config.json").write_text(json.dumps(told))
    assert hf(folder).complete(["the cat"], 6) == before


def test_a_tokenizer_that_fails_on_any_text_is_noticed_when_it_is_loaded(folder):
    edit(folder / "tokenizer_config.json", model_max_length=[])
    with pytest.raises(RequestError, match="can't be loaded: TypeError"):
        hf(folder)


def test_tokens_that_the_weights_dont_have_are_refused(folder):
    told = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = told["model"]["vocab"]
    vocabulary[next(reversed(vocabulary))] = 10**6
    (folder / "tokenizer.json").write_text(json.dumps(told))
    with pytest.raises(RequestError, match="has a token 1000000, its weights end at"):
        hf(folder)


def test_images_of_gigabytes_are_not_made(tmp_path):
    specimens.vision(tmp_path)
    edit(tmp_path / "model/preprocessor_config.json", size={"height": 8192, "width": 8})
    spec = find("models", "hf")(path=str(tmp_path / "model"))
    with pytest.raises(RequestError, match="8192 pixels wide"):
        spec.build((3, 8, 8), "image", ("cat", "dog"))


def test_only_the_innermost_bound_counts():
    with no_larger_than(0):
        with no_larger_than(10**9):
            torch.nn.Linear(10_000, 10_000, device="meta")
        with pytest.raises(ValueError, match="more weights"):
            torch.nn.Linear(10_000, 10_000, device="meta")
    torch.nn.Linear(10_000, 10_000, device="meta")


def test_counts_are_found_wherever_they_stand():
    refuse_counts({"text": {"num_hidden_layers": 32, "vocab_size": 10**6}, "rope_theta": 10**9})
    with pytest.raises(ValueError, match="`layers` is"):
        refuse_counts({"text": [{"layers": [2**20]}]})


# --- GGUF ----------------------------------------------------------------------------------


def header(*parts):
    return b"GGUF" + struct.pack("<IQQ", 3, *parts[:2]) + b"".join(parts[2:])


def text(said):
    return struct.pack("<Q", len(said)) + said


LIES = {
    "no GGUF": b"GGML" + bytes(40),
    "another version": b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
    "more tensors than can be": header(2**60, 0),
    "more fields than follow": header(0, 60_000),
    "a name that never ends": header(0, 1, struct.pack("<Q", 2**63)),
    "a list that never ends": header(0, 1, text(b"a"), struct.pack("<IIQ", 9, 4, 2**62)),
    "texts that never end": header(0, 1, text(b"a"), struct.pack("<IIQ", 9, 8, 2**62)),
    "lists in lists": header(0, 1, text(b"a"), struct.pack("<IIQ", 9, 9, 1) * 500),
    "a field twice": header(0, 2, *2 * [text(b"a"), struct.pack("<IB", 0, 1)]),
    "a type of its own": header(0, 1, text(b"a"), struct.pack("<I", 99)),
    "no alignment": header(0, 1, text(b"general.alignment"), struct.pack("<II", 4, 0)),
    "too many layers": header(0, 1, text(b"llama.block_count"), struct.pack("<IQ", 10, 2**40)),
    "a tensor behind the end": header(1, 0, text(b"t"), struct.pack("<IQIQ", 1, 2**40, 0, 0)),
    "an unknown kind of numbers": header(1, 0, text(b"t"), struct.pack("<IQIQ", 1, 1, 99, 0)),
    "too many dimensions": header(1, 0, text(b"t"), struct.pack("<I", 10**9)),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_gguf_header_that_lies_is_refused_before_it_is_believed(lie, tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(LIES[lie])
    with pytest.raises(ValueError, match=r"it|there|tensor|at most|UTF"):
        elements_in(file)
    with pytest.raises(RequestError):
        hf(file)


def test_a_good_gguf_file_is_read(made):
    model = hf(made / "model.gguf")
    held = sum(weight.numel() for weight in model.module.parameters())
    assert elements_in(made / "model.gguf") == held
    assert model.longest == 64


def test_a_gguf_file_cut_anywhere_is_refused(made, tmp_path):
    whole = (made / "model.gguf").read_bytes()
    for share in np.linspace(0, 1, 60, endpoint=False):
        (tmp_path / "cut.gguf").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"it|there|tensor|at most|UTF"):
            elements_in(tmp_path / "cut.gguf")


# --- Delivered models ----------------------------------------------------------------------


def delivered(folder, **changes):
    told = {"use": "mlp", "spec": {"hidden": [4]}, "shape": [3], "kind": "features",
            "labels": ["a", "b"], "heads": [], "whole": True}  # fmt: skip
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps(told | changes))
    save_tensors(folder / "model.safetensors", {"a": torch.zeros(3)})
    return find("models", "saved")(path=str(folder))


def test_a_delivered_model_can_name_no_code_also_not_inside(tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    inner = {"of": {"use": "smaller", "of": {"use": "planted:Model"}}, "layers": 1}
    spec = delivered(tmp_path / "model", use="lora", spec=inner)
    assert "was made by code of the user's own" in spec.check()[0].what
    with pytest.raises(RequestError, match="planted:Model"):
        spec.restore()
    assert "planted" not in sys.modules


@pytest.mark.parametrize("hidden", [[2**62], [65_536, 65_536], [65_536] * 9])
def test_a_delivered_model_takes_no_more_memory_than_its_weights_say(hidden, tmp_path):
    with pytest.raises(RequestError, match=r"saved settings don't fit|its settings ask for more"):
        delivered(tmp_path / "model", spec={"hidden": hidden}).restore()


# --- Tables, journals, pages ---------------------------------------------------------------


def parquet_task(folder, **columns):
    pq.write_table(pa.table({"x": np.arange(40.0), **columns}), folder / "t.parquet")
    return find("tasks", "parquet")(path=str(folder / "t.parquet"), label="label").load("t")


def test_categories_that_a_damaged_file_doesnt_have_are_refused(tmp_path, monkeypatch):
    codes = pa.array([0, 1, 9, 1] * 10, pa.int8())
    broken = pa.DictionaryArray.from_arrays(codes, pa.array(["a", "b"]), safe=False)
    table = pa.table({"x": np.arange(40.0), "kind": broken, "label": ["p", "q"] * 20})
    monkeypatch.setattr(pq, "read_table", lambda place: table)
    with pytest.raises(RequestError, match=r"t.parquet` can't be read"):
        parquet_task(tmp_path, kind=["a", "b"] * 20, label=["p", "q"] * 20)


def test_labels_that_are_lists_are_refused(tmp_path):
    with pytest.raises(RequestError, match="holds list<"):
        parquet_task(tmp_path, label=[[1, 2]] * 40)


def test_whole_numbers_too_large_for_an_integer_are_labels_like_others(tmp_path):
    assert parquet_task(tmp_path, label=[1e300, 2.0] * 20).labels == ("1e+300", "2")


@pytest.mark.parametrize(
    "result",
    [{"$pairs": [[1]]}, {"$tensor": "9"}, {"$float": "x"}, {"$tuple": 3}, {"$pairs": [[[], 1]]}],
)
def test_an_entry_that_makes_no_sense_is_damaged(result, tmp_path):
    from bequest.store.files import read_sealed, write_sealed

    def entry():
        return Journal(tmp_path, (0, 1), {}).entry("fit", "a", {})

    entry().commit({"a": torch.zeros(2)})
    path = tmp_path / "0000-fit-a.json"
    write_sealed(path, {**read_sealed(path), "result": result})
    with pytest.raises(StoreError, match=r"is damaged.*; delete .* and resume"):
        entry().result()


@pytest.mark.parametrize("recipe", [[], {"gate": {}}, {"gate": [1]}, None])
def test_a_record_without_a_recipe_or_with_odd_rules_is_none(recipe, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"status": "finished", "recipe": recipe}))
    with pytest.raises(RequestError, match="is not a run's record"):
        Run(tmp_path)


def test_messages_stay_short_whatever_a_file_holds():
    problem = Problem("x" * 10**6, "y" * 10**6, field=("z" * 10**6,))
    assert len(str(problem)) < 4000
    assert len(str(StoreError("x" * 10**6))) < 5000
    assert str(Problem("x\n" * 10**6)).count("\n") == 20
