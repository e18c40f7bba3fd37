"""What lies beside a model's weights: tokenizers, end tokens, chat templates."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import language_models
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from bequest.build.models.hf import Hf
from bequest.build.sentences import end_tokens
from bequest.build.tokens import begun, until_end
from bequest.core.errors import RequestError
from bequest.core.live import Texts
from bequest.recipe.check import check
from bequest.recipe.reading import read
from bequest.runner.preparing import prepare

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.fixture
def folder(tmp_path):
    return language_models.language_model(tmp_path / "model", layers=1, width=16)


def built(place, **settings):
    return Hf(path=str(place), **settings).build((), "text", ())


def edit(file, **changes):
    told = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(told | changes))


# --- End tokens ------------------------------------------------------------------------------


def saying(model, ids):
    """The model as one that writes these tokens, one after another, whatever is asked."""

    def generate(input_ids, generation_config, **_):
        ends, written = set(generation_config.eos_token_id or ()), []
        for token in ids:
            written.append(token)
            if token in ends:
                break
        rows = torch.tensor([written] * len(input_ids))
        return torch.cat([input_ids, rows], dim=1)

    model.module.generate = generate
    return model


@pytest.mark.parametrize("beside", [None, {}], ids=["alone", "beside an empty one"])
@pytest.mark.parametrize("place", ["generation_config.json", "config.json"])
@pytest.mark.parametrize("several", [True, False])
def test_a_model_stops_at_each_end_token_that_its_files_name(folder, place, several, beside):
    words = built(folder).tokenizer
    cat, end, dog = (words(one, add_special_tokens=False)["input_ids"] for one in (" c", " a", "d"))
    (folder / "generation_config.json").unlink()
    if beside is not None:
        edit(folder / "generation_config.json", **beside)
    ids = [words.eos_token_id, end[0]] if several else end[0]
    edit(folder / place, eos_token_id=ids)
    model = saying(built(folder), [*cat, *end, *dog])
    assert model.complete(["the"], 8) == [words.decode(cat)]
    assert set(model.ends) == {words.eos_token_id, end[0]}


def test_an_end_that_no_file_names_is_none(folder):
    (folder / "generation_config.json").unlink()
    told = json.loads((folder / "config.json").read_text())
    del told["eos_token_id"]  # then the class says 2
    (folder / "config.json").write_text(json.dumps(told))
    model = built(folder)
    assert model.ends == (model.tokenizer.eos_token_id,) == (1,)


@pytest.mark.parametrize(
    ("generation", "config", "own", "ends"),
    [
        ([3, 99], None, None, (3,)),
        (None, [3, 4], 1, (1, 3, 4)),
        (5, [3, 4], 1, (1, 5)),
        (None, None, 1, (1,)),
        (None, None, None, ()),
    ],
)
def test_which_tokens_end_a_text(generation, config, own, ends):
    net = SimpleNamespace(
        generation_config=SimpleNamespace(eos_token_id=generation),
        get_input_embeddings=lambda: SimpleNamespace(num_embeddings=10),
    )
    words = SimpleNamespace(eos_token_id=own)
    assert end_tokens(net, words, {"eos_token_id": config}) == ends


@pytest.mark.parametrize("place", ["generation_config.json", "config.json"])
@pytest.mark.parametrize("ends", ["3", [1, 3.0], [[1, 3]], True])
def test_an_end_that_is_no_whole_number_is_refused(folder, place, ends):
    if place == "config.json":
        (folder / "generation_config.json").unlink()
    edit(folder / place, eos_token_id=ends)
    with pytest.raises(RequestError):
        built(folder)


def test_a_damaged_file_of_settings_for_generating_is_refused(folder):
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(RequestError, match=r"generation_config.json` can't be read as JSON"):
        built(folder)


def test_what_stands_before_the_end():
    assert until_end([4, 5, 1, 6, 2], {1, 2}) == [4, 5]
    assert until_end([1], {1}) == []
    assert until_end([4, 5], ()) == [4, 5]


def test_settings_for_generating_that_are_not_used_are_named(folder):
    usual = {"temperature": 0.3, "do_sample": True, "repetition_penalty": 1.0, "min_length": 0}
    edit(folder / "generation_config.json", suppress_tokens=[3], stop_strings=["<end>"], **usual)
    (note,) = built(folder).notes
    assert note == (
        "its generation_config.json sets suppress_tokens, stop_strings, which are not used"
    )
    edit(folder / "generation_config.json", repetition_penalty=1.3)
    assert "repetition_penalty" in built(folder).notes[0]


# --- Chat templates --------------------------------------------------------------------------


@pytest.fixture
def talking(folder):
    edit(folder / "tokenizer_config.json", chat_template=TEMPLATE)
    return folder


def test_a_chat_template_that_is_not_used_is_said(talking):
    assert any("`chat: true` would use it" in note for note in built(talking).notes)
    assert not built(talking, chat=True).notes


def test_copies_know_the_files_they_come_from(folder):
    model = built(folder)
    assert copy.deepcopy(model).files is replace(model, order="backward").files is model.files
    assert model.files.folder == folder


def test_prompts_become_messages(talking):
    model = built(talking, chat=True)
    words = model.tokenizer
    (ids,) = begun(["hello"], words, chat=True)
    assert ids == words.apply_chat_template(
        [{"role": "user", "content": "hello"}], add_generation_prompt=True, return_dict=False
    )
    assert ids.count(words.bos_token_id) == 1
    asked, _ = model._padded_left(["hello"], 4)
    assert asked.tolist() == [ids]


def test_answers_to_messages_stand_behind_them_without_a_blank(talking):
    model, plain = built(talking, chat=True), built(talking)
    answered = model.encoded(Texts((" a cat",), ("who?",), closed=True))
    words = model.tokenizer
    expected = [*words("a cat", add_special_tokens=False)["input_ids"], words.eos_token_id]
    assert answered.targets.tolist() == expected
    free = Texts(("a text by itself",))
    assert torch.equal(model.encoded(free).ids, plain.encoded(free).ids)
    assert model.reads != plain.reads


def test_a_first_token_is_not_put_twice(folder):
    words = built(folder).tokenizer
    (ids,) = begun(["<start>the cat"], words, chat=False)
    assert ids == begun(["the cat"], words, chat=False)[0]


@pytest.mark.parametrize(
    ("template", "said"),
    [(None, "has no chat template"), ("{{ raise_exception('no users') }}", "chat template fails")],
)
def test_templates_that_cannot_be_used(folder, template, said):
    edit(folder / "tokenizer_config.json", **({"chat_template": template} if template else {}))
    with pytest.raises(RequestError, match=said):
        built(folder, chat=True).complete(["hello"], 4)


# --- Tokenizers ------------------------------------------------------------------------------


def test_a_folder_without_tokenizer_files(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (problem,) = Hf(path=str(folder)).check()
    assert "has no tokenizer files" in problem.what


def words_of(folder, *known, size=None, **tokens):
    """A tokenizer of whole words in `folder`, with a classifier of as many or `size` tokens."""
    ids = {word: row for row, word in enumerate(("[UNK]", "[PAD]", *known))}
    made = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", **({"pad_token": "[PAD]"} | tokens)
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=size or len(ids),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        id2label={0: "a", 1: "b"},
        label2id={"a": 0, "b": 1},
    )
    torch.manual_seed(0)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_tokenizer_of_far_fewer_tokens_than_weights_is_another_models(tmp_path):
    place = words_of(tmp_path, "cat", size=100)
    with pytest.raises(RequestError, match="knows 3 tokens, its weights 100"):
        Hf(path=str(place)).build((), "text", ("a", "b"))


def test_a_classifier_needs_a_token_for_padding(tmp_path):
    place = words_of(tmp_path, "cat", pad_token=None)
    with pytest.raises(RequestError, match="has no token for padding"):
        Hf(path=str(place)).build((), "text", ("a", "b"))


def test_padding_stands_on_the_right_and_the_tokenizers_length_counts(tmp_path):
    place = words_of(tmp_path, "cat", "dog", padding_side="left", model_max_length=9)
    model = Hf(path=str(place)).build((), "text", ("a", "b"))
    assert model.longest == 9
    texts = Texts(("cat", "dog cat dog cat dog"))
    with torch.no_grad():
        both, alone = model.logits(texts), model.logits(texts[:1])
    torch.testing.assert_close(both[:1], alone, rtol=1e-5, atol=1e-6)


def prepared(tmp_path, place, words):
    rows = [{"text": f"{words} {row}", "label": "ab"[row % 2]} for row in range(40)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "models": {"student": {"use": "hf", "path": str(place)}},
        "tasks": {"t": {"use": "text", "path": str(file), "text": "text", "label": "label"}},
        "method": {"use": "finetune"},
    }
    draft = read(recipe)
    plan, problems = check(draft)
    assert not problems
    return prepare(draft, plan, "cpu")


def test_texts_of_unknown_tokens_are_refused_before_any_work(tmp_path):
    place = words_of(tmp_path / "model", "cat", "dog", "sat")
    with pytest.raises(RequestError, match="does not know 75% of the tokens of task `t`"):
        prepared(tmp_path, place, "le chat dog")


def test_some_unknown_tokens_are_told(tmp_path):
    place = words_of(tmp_path / "model", "cat", "dog", "sat")
    (note,) = prepared(tmp_path, place, "cat dog sat").facts["student"].notes
    assert "does not know 25% of the tokens" in note


# --- Messages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "fix"),
    [
        (lambda path: {"use": "hf", "path": path}, "write `new_head: true`"),
        (
            lambda path: {"use": "lora", "of": {"use": "hf", "path": path}},
            "write `new_head: true` in `of`",
        ),
    ],
)
def test_an_encoder_as_a_classifier(tmp_path, model, fix):
    place = str(language_models.embedder(tmp_path))
    recipe = {
        "models": {"student": model(place)},
        "tasks": {"t": {"use": "digits"}},
        "method": {"use": "finetune"},
    }
    _, problems = check(read(recipe))
    assert fix in [problem.fix for problem in problems]


def test_a_misspelt_asset_or_folder_is_not_looked_for_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-encoder").mkdir()
    for path, meant in (("minilm-l66", "minilm-l6"), ("my-encodr", "my-encoder")):
        (problem,) = Hf(path=path).check()
        assert problem.meant == meant
    (problem,) = Hf(path="my-encoder/lost").check()
    assert "doesn't exist" in problem.what
    assert Hf(path="gpt2").check() == []
    assert Hf(path="someone/encoder").check() == []
