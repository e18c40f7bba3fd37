"""Every weight of a pretrained model's files finds its place, and every place its weight."""

import json
import re
import shutil

import language_models
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM

from bequest.build.models.hf import Hf
from bequest.build.sentence_files import sentence_files
from bequest.core.errors import RequestError
from bequest.core.live import Texts

TEXT = Texts(("the cat sat on the mat",))
LAYER = "model.layers.1."


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    language_models.language_model(folder / "language", layers=2, width=16)
    language_models.text_classifier(folder / "classifier")
    language_models.embedder(folder / "embedder")
    words = language_models.tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertForMaskedLM(config).save_pretrained(folder / "masked")
    words.save_pretrained(folder / "masked")
    return folder


@pytest.fixture
def copied(made, tmp_path):
    def copy(name):
        return shutil.copytree(made / name, tmp_path / name)

    return copy


def built(place, labels=(), **settings):
    torch.manual_seed(0)
    return Hf(path=str(place), **settings).build((), "text", labels)


def change(place, rename=str, drop=None, **more):
    """Rewrite a folder's weights under other names, without some, with more."""
    file = place / "model.safetensors"
    kept = {rename(name): weight.clone() for name, weight in load_file(file).items()
            if not drop or not re.search(drop, name)}  # fmt: skip
    save_file(kept | more, file, {"format": "pt"})


def configure(place, **changes):
    file = place / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refused(place, said, labels=(), **settings):
    with pytest.raises(RequestError) as caught:
        built(place, labels, **settings)
    text = str(caught.value)
    assert all(part in text for part in said), text


@pytest.mark.parametrize(
    "rename",
    [
        "_orig_mod.{}".format,
        "module.{}".format,
        "module._orig_mod.{}".format,
        "_orig_mod.module.{}".format,
        "student.{}".format,
        lambda name: name.replace("model.layers.0.", "model.layers.0._orig_mod."),
        lambda name: name.replace("model.", "model._fsdp_wrapped_module."),
    ],
    ids=["compiled", "parallel", "both", "other way", "named", "a layer", "sharded"],
)
def test_names_of_a_wrapped_module(copied, tmp_path, rename):
    place = copied("language")
    right = built(place).logprob(TEXT).values
    change(place, rename)
    model = built(place)
    torch.testing.assert_close(model.logprob(TEXT).values, right, rtol=0, atol=0)
    assert any("prefixes of a wrapped module" in note for note in model.notes)
    model.module.save_pretrained(tmp_path / "again")
    assert load_file(tmp_path / "again/model.safetensors").keys() >= {"model.norm.weight"}


def test_the_same_weight_wrapped_and_unwrapped(copied):
    place = copied("language")
    change(place, **{"_orig_mod.model.norm.weight": torch.ones(16)})
    refused(place, ["both wrapped and unwrapped (`model.norm.weight`)"])


@pytest.mark.parametrize(
    ("kind", "edit", "said"),
    [
        ("language", {"drop": "layers.1"}, ["lack 9 weights", f"`{LAYER}input_layernorm.weight`"]),
        ("language", {"other.weight": torch.ones(2)}, ["hold 1 weight that", "`other.weight`"]),
        ("language", {"model.norm.weight": torch.ones(8)}, ["another shape", "[8] instead"]),
        ("classifier", {"drop": "^classifier"}, ["2 weights of the head", "`new_head: true`"]),
        ("classifier", {"drop": "pooler"}, ["lack 2 weights", "`bert.pooler.dense.bias`"]),
        ("embedder", {"drop": "word_embed"}, ["`embeddings.word_embeddings.weight`"]),
        ("masked", {"drop": "layer.0.output"}, ["lack 4 weights"]),
        ("language", {"model.norm.weight": torch.ones(16) / 0}, ["NaN or infinity in 1 weight ("]),
        ("language", {"model.norm.weight": torch.ones(16).char()}, ["1 weight of type I8"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_names(copied, kind, edit, said):
    place = copied(kind)
    change(place, **edit)
    refused(place, said)


@pytest.mark.parametrize(("kind", "count"), [("language", 9), ("masked", 16)])
def test_layers_that_the_settings_do_not_have(copied, kind, count):
    place = copied(kind)
    configure(place, num_hidden_layers=1)
    refused(place, [f"hold {count} weights that the architecture has no place for"])


def test_a_pretraining_head_is_left_out_with_a_note(copied):
    model = built(copied("masked"))
    assert model.answers == {"embed"}
    assert ["not used: 5 weights of the files" in note for note in model.notes] == [True]
    assert not any("pooler" in name for name, _ in model.module.named_parameters())


def test_tables_of_older_versions_are_no_weights(copied):
    place = copied("language")
    change(place, **{"model.layers.0.attn.masked_bias": torch.tensor(-1e4)})
    assert "`model.layers.0.attn.masked_bias`" in built(place).notes[0]


@pytest.mark.parametrize("kind", ["embedder", "masked", "classifier"])
def test_a_new_head_is_said_to_be_new(copied, kind):
    model = built(copied(kind), ("a", "b", "c"), new_head=True)
    assert model.logits(TEXT).shape == (1, 3)
    new = 4 if kind == "masked" else 2  # the pooler is not in the file either
    assert any(f"its head is new: {new} weights" in note for note in model.notes)


def test_a_new_head_replaces_no_other_weight(copied):
    place = copied("classifier")
    configure(place, vocab_size=350)
    refused(place, ["another shape", "word_embeddings"], ("a", "b", "c"), new_head=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_types_are_read_as_float32(copied, dtype):
    place = copied("language")
    weights = {name: one.to(dtype) for name, one in load_file(place / "model.safetensors").items()}
    save_file(weights, place / "model.safetensors", {"format": "pt"})
    module = built(place).module
    assert {weight.dtype for weight in module.parameters()} == {torch.float32}
    assert torch.equal(module.model.norm.weight, weights["model.norm.weight"].float())


def test_quantised_weights_are_refused_without_loading(copied):
    place = copied("language")
    configure(place, quantization_config={"quant_method": "gptq", "bits": 4})
    (problem,) = Hf(path=str(place)).check()
    assert "are quantised (gptq)" in problem.what


# --- Several files ---------------------------------------------------------------------------


@pytest.fixture
def sharded(copied):
    place = copied("language")
    weights = load_file(place / "model.safetensors")
    (place / "model.safetensors").unlink()
    places = {}
    for number, names in enumerate((sorted(weights)[::2], sorted(weights)[1::2]), 1):
        name = f"model-0000{number}-of-00002.safetensors"
        save_file({each: weights[each] for each in names}, place / name, {"format": "pt"})
        places |= dict.fromkeys(names, name)
    index = {"metadata": {}, "weight_map": places}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    return place


def index_names(place, old, new):
    file = place / "model.safetensors.index.json"
    file.write_text(file.read_text().replace(old, new))


def test_only_what_the_index_names_is_read(sharded, made):
    right = built(made / "language").logprob(TEXT).values
    save_file({"layers.0.attention": torch.ones(2)}, sharded / "consolidated.safetensors")
    model = built(sharded)
    torch.testing.assert_close(model.logprob(TEXT).values, right, rtol=0, atol=0)
    assert model.notes == ("other files of weights were not read: `consolidated.safetensors`",)


FIRST = "model-00001-of-00002.safetensors"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda place: (place / FIRST).unlink(), f"lacks .*{FIRST}"),
        (lambda place: (place / FIRST).rename(place / "one.safetensors"), f"lacks .*{FIRST}"),
        (lambda place: index_names(place, FIRST, f"../{FIRST}"), "no safetensors file of this"),
        (lambda place: index_names(place, FIRST, "model.bin"), "no safetensors file of this"),
        (lambda place: index_names(place, '"weight_map"', '"weights"'), "names no weights"),
        (
            lambda place: shutil.copy(place / FIRST, place / "model.safetensors"),
            "two sets of weights",
        ),
        (
            lambda place: (place / "model.safetensors.index.json").unlink(),
            "has neither model.safetensors nor.*copy or fetch the whole model again",
        ),
    ],
)
def test_an_index_that_does_not_fit_its_files_is_refused(sharded, edit, said):
    edit(sharded)
    (problem,) = Hf(path=str(sharded)).check()
    assert re.search(said, str(problem))


def test_a_file_of_another_name_is_not_guessed_at(copied):
    place = copied("language")
    (place / "model.safetensors").rename(place / "model.fp16.safetensors")
    (problem,) = Hf(path=str(place)).check()
    assert "rename the file with the weights to model.safetensors" in problem.fix


def test_a_folder_without_modules_says_nothing_of_sentences(made):
    assert sentence_files("x", made / "embedder") is None
