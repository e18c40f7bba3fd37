"""Embedders in the form of sentence-transformers: the same vectors as that library gives."""

import json
import shutil

import language_models
import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from workbench import bench

from bequest.build.models.hf import Hf
from bequest.build.sentence_files import Prompts
from bequest.core.errors import RequestError
from bequest.core.live import Split, Texts
from bequest.transfer.streams import Rows

SENTENCES = ["the cat", "a dog ran over the hill to see the old cat", "x", "Numbers SUCH as 1 2 3"]
WIDTH = 16


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return language_models.embedder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def saved(encoder, tmp_path):
    """A folder that the library wrote: the tiny encoder and these modules behind it."""

    def save(*behind, **settings):
        torch.manual_seed(1)
        first = modules.Transformer(str(encoder), max_seq_length=settings.pop("longest", None))
        first.model.pooler = None
        SentenceTransformer(modules=[first, *behind], device="cpu", **settings).save(
            str(tmp_path), create_model_card=False
        )
        return tmp_path

    return save


def built(place, **settings):
    return Hf(path=str(place), **settings).build((), "text", ())


def embedded(place, texts=SENTENCES, roles=()):
    with torch.no_grad():
        return built(place).embed(Texts(tuple(texts), roles=tuple(roles)))


def same(vectors, expected):
    torch.testing.assert_close(vectors, torch.as_tensor(expected), rtol=1e-4, atol=1e-5)


def edit(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    "mode",
    ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("mean", "max")],
    ids=str,
)
def test_every_pooling(saved, mode):
    place = saved(modules.Pooling(WIDTH, mode))
    same(embedded(place), SentenceTransformer(str(place), device="cpu").encode(SENTENCES))


def test_further_modules_and_their_gradients(saved):
    pooling = modules.Pooling(WIDTH, "mean")
    place = saved(pooling, modules.Dense(WIDTH, 5), modules.LayerNorm(5), modules.Normalize())
    same(embedded(place), SentenceTransformer(str(place), device="cpu").encode(SENTENCES))
    model = built(place)
    model.embed(Texts(("the cat",)))[0, 0].backward()
    assert all(
        weight.grad is not None and weight.grad.abs().sum() > 0
        for name, weight in model.module.named_parameters()
        if "behind" in name and "norm" not in name
    )


def test_the_older_form_of_the_settings(saved):
    place = saved(modules.Pooling(WIDTH, "cls"), modules.Normalize())
    same(embedded(place).norm(dim=1), torch.ones(4))
    older = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": False}
    (place / "1_Pooling/config.json").write_text(
        json.dumps(older | {"pooling_mode_max_tokens": True})
    )
    names = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [
        {"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{name}"}
        for row, (path, name) in enumerate(names)
    ]
    (place / "modules.json").write_text(json.dumps(listed))
    same(embedded(place), SentenceTransformer(str(place), device="cpu").encode(SENTENCES))


def test_settings_of_the_transformer(saved):
    place = saved(modules.Pooling(WIDTH), longest=5)
    edit(place / "sentence_bert_config.json", do_lower_case=True)
    model = built(place)
    assert model.longest == 5
    same(embedded(place), SentenceTransformer(str(place), device="cpu").encode(SENTENCES))
    same(embedded(place, ["THE CAT"]), embedded(place, ["the cat"]))


def test_a_config_that_names_a_pretraining_head(saved, encoder):
    place = saved(modules.Pooling(WIDTH))
    edit(place / "config.json", architectures=["BertForMaskedLM"])
    same(embedded(place), SentenceTransformer(str(place), device="cpu").encode(SENTENCES))
    assert built(place).notes == ()


@pytest.mark.parametrize("pooling", [{}, {"include_prompt": False}], ids=["in", "out"])
def test_prompts_stand_before_texts_by_their_role(saved, pooling):
    prompts = {"query": "look for: ", "document": "a thing: "}
    place = saved(
        modules.Pooling(WIDTH, "mean", **pooling), prompts=prompts, default_prompt_name="query"
    )
    library = SentenceTransformer(str(place), device="cpu")
    same(embedded(place), library.encode(SENTENCES))
    same(embedded(place, roles=["query"] * 4), library.encode_query(SENTENCES))
    same(embedded(place, roles=["document"] * 4), library.encode_document(SENTENCES))
    mixed = embedded(place, roles=["query", "document"] * 2)
    same(mixed[::2], library.encode_query(SENTENCES[::2]))
    same(mixed[1::2], library.encode_document(SENTENCES[1::2]))


def test_another_prompt_is_another_reading(saved):
    place = saved(modules.Pooling(WIDTH), prompts={"q": "x "}, default_prompt_name="q")
    before = built(place).reads
    edit(place / "config_sentence_transformers.json", prompts={"q": "y "})
    assert built(place).reads != before


def test_another_pooling_is_another_reading(saved):
    place = saved(modules.Pooling(WIDTH))
    read = set()
    for mode in ("mean", "cls", "max", "weightedmean"):
        edit(place / "1_Pooling/config.json", pooling_mode=mode)
        read.add(built(place).reads)
    edit(place / "config_sentence_transformers.json", truncate_dim=5)
    assert len({*read, built(place).reads}) == 5


def test_two_poolings_of_the_same_weights_give_answers_of_their_own(saved, tmp_path):
    place = saved(modules.Pooling(WIDTH, "cls"))
    other = tmp_path.parent / f"{tmp_path.name}-other"
    shutil.copytree(place, other)
    edit(other / "1_Pooling/config.json", pooling_mode="mean")
    models = {"first": built(place), "mean": built(other)}
    rows = Rows(Split(Texts(SENTENCES), None, np.arange(len(SENTENCES))))
    work = bench(tmp_path, models=models)
    found = [work.recall(each, rows, "embed", shared=True)(rows.batch(torch.arange(4)))
             for each in models.values()]  # fmt: skip
    for vectors, folder in zip(found, (place, other), strict=True):
        same(vectors, SentenceTransformer(str(folder), device="cpu").encode(SENTENCES))


@pytest.mark.parametrize("behind", [(), (modules.Normalize(),), ("max",)], ids=str)
def test_vectors_are_cut_where_the_settings_say_so(saved, behind):
    pooling = modules.Pooling(WIDTH, "max" if behind == ("max",) else "mean")
    place = saved(pooling, *(one for one in behind if one != "max"))
    edit(place / "config_sentence_transformers.json", truncate_dim=5)
    found = embedded(place)
    assert found.shape == (len(SENTENCES), 5)
    same(found, SentenceTransformer(str(place), device="cpu").encode(SENTENCES))


@pytest.mark.parametrize(
    ("named", "default", "role", "expected"),
    [
        ({"passage": "p"}, None, "document", "p"),
        ({"passage": "p", "document": "d"}, None, "document", "d"),
        ({"query": "q"}, "query", "document", ""),
        ({"query": "q"}, "query", "", "q"),
        ({"any": "a"}, "any", "query", "a"),
        ({"any": "a"}, None, "query", ""),
    ],
)
def test_which_prompt(named, default, role, expected):
    assert Prompts(named, default).before(role) == expected


def test_an_older_folder_keeps_its_transformer_below(saved):
    place = saved(modules.Pooling(WIDTH))
    expected = embedded(place)
    below = place / "0_Transformer"
    below.mkdir()
    for file in list(place.glob("*.json")) + list(place.glob("*.safetensors")):
        if file.name not in ("modules.json", "config_sentence_transformers.json"):
            file.rename(below / file.name)
    listed = json.loads((place / "modules.json").read_text())
    listed[0]["path"] = below.name
    (place / "modules.json").write_text(json.dumps(listed))
    same(embedded(place), expected)


def change_modules(place, **changes):
    listed = json.loads((place / "modules.json").read_text())
    listed[-1] |= changes
    (place / "modules.json").write_text(json.dumps(listed))


def pickled(place):
    (place / "2_Dense/model.safetensors").unlink()
    torch.save({}, place / "2_Dense/pytorch_model.bin")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda place: change_modules(place, type="mine.Pooling"), "code of its own"),
        (lambda place: change_modules(place, path="../elsewhere"), "a folder outside"),
        (lambda place: change_modules(place, path="long" * 99), "can't be right: File name too"),
        (
            lambda place: edit(place / "sentence_bert_config.json", max_seq_length=0),
            "the `max_seq_length` of",
        ),
        (
            lambda place: change_modules(place, type="sentence_transformers.models.WordWeights"),
            "changes its vectors by WordWeights",
        ),
        (pickled, "has no model.safetensors"),
        (
            lambda place: edit(place / "2_Dense/config.json", activation_function="os.system"),
            "names the activation `os.system`",
        ),
        (
            lambda place: edit(
                place / "config_sentence_transformers.json", default_prompt_name="none"
            ),
            "there is no such prompt",
        ),
        (
            lambda place: edit(
                place / "config_sentence_transformers.json", similarity_fn_name="euclidean"
            ),
            "compares its vectors by `euclidean`",
        ),
    ],
)
def test_what_is_not_supported_is_said_before_anything_is_loaded(saved, change, said):
    place = saved(modules.Pooling(WIDTH), modules.Dense(WIDTH, 4))
    change(place)
    (problem,) = Hf(path=str(place)).check()
    assert said in problem.what


def test_the_library_is_asked_for_where_it_is_needed(saved, monkeypatch):
    plain = saved(modules.Pooling(WIDTH), modules.Normalize())
    monkeypatch.setattr("bequest.build.sentence_modules.find_spec", lambda name: None)
    assert embedded(plain).shape == (4, WIDTH)
    edit(plain / "1_Pooling/config.json", pooling_mode="max")
    with pytest.raises(RequestError, match=r"pip install 'bequest\[retrieval\]'"):
        built(plain)
