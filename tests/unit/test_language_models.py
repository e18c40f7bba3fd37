"""Pretrained models of texts: tokens counted once, whatever stands beside them in a batch."""

from __future__ import annotations

import copy

import language_models
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bequest.build.heads import one_head_per_task
from bequest.build.models.hf import Hf
from bequest.build.models.lora import Lora
from bequest.build.models.smaller import Smaller
from bequest.build.tokens import encode, matched, vocabulary, windows
from bequest.core.errors import RequestError
from bequest.core.live import Texts
from bequest.lazy import torch, transformers
from bequest.transfer.state import fingerprint

SENTENCES = tuple(language_models.SENTENCES)
TEXTS = Texts(SENTENCES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(language_models.language_model(tmp_path_factory.mktemp("language")))


@pytest.fixture(scope="module")
def model(folder):
    return Hf(path=folder, longest=48).build((), "text", ())


def built(spec):
    return spec.build((), "text", ())


def nll(model, texts):
    with torch.no_grad():
        found = model.logprob(texts)
    return [-float(each.sum()) for each in torch.split(found.values, found.lengths.tolist())]


@given(st.integers(0, 200), st.integers(1, 20), st.integers(21, 40))
def test_windows_hold_every_token_once(count, before, longest):
    ids = list(range(1000, 1000 + count))
    cut = windows([0] * before, ids, 0, longest)
    assert [one for window in cut for one in window.ids[window.start :]] == ids
    assert all(len(window.ids) <= longest for window in cut)
    assert all(window.start >= 1 for window in cut)


def test_a_prompt_that_leaves_no_room_is_refused():
    with pytest.raises(RequestError, match="a prompt has 8 tokens, but the model reads 8"):
        windows([0] * 8, [1, 2], 0, 8)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(len(SENTENCES))), st.integers(1, len(SENTENCES)))
def test_likelihoods_do_not_depend_on_the_batch(model, order, size):
    alone = [nll(model, TEXTS[[row]])[0] for row in range(len(SENTENCES))]
    together = nll(model, TEXTS[order[:size]])
    assert together == pytest.approx([alone[row] for row in order[:size]], rel=1e-5)


def test_by_the_definition(model):
    encoded = model.encoded(TEXTS[[0]])
    with torch.no_grad():
        logits = model.module(input_ids=encoded.ids).logits[0]
    ids = encoded.ids[0]
    expected = logits.log_softmax(dim=1)[range(len(ids) - 1), ids[1:]]
    with torch.no_grad():
        torch.testing.assert_close(model.logprob(TEXTS[[0]]).values, expected)
    assert int(ids[0]) == model.tokenizer.bos_token_id


def test_the_same_with_and_without_gradients(model):
    learnt = model.logprob(TEXTS)
    assert learnt.values.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(model.logprob(TEXTS).values, learnt.values.detach())


def test_a_prompt_is_read_but_not_counted(model):
    answers = Texts((" on the mat",), ("the cat sat",), closed=True)
    with torch.no_grad():
        found = model.logprob(answers)
    tokens = len(model.tokenizer(" on the mat", add_special_tokens=False)["input_ids"])
    assert found.lengths.tolist() == [tokens + 1]  # and the end of the text
    other = nll(model, Texts(answers.texts, ("a dog ran",), closed=True))[0]
    assert other != pytest.approx(-float(found.values.sum()), rel=1e-4)


def test_long_texts_go_on_in_further_windows(model):
    long = Texts((" ".join(SENTENCES * 6),))
    encoded = model.encoded(long)
    assert len(encoded.ids) > 1
    assert encoded.ids.shape[1] <= 48
    ids = model.tokenizer(long.texts[0], add_special_tokens=False)["input_ids"]
    assert encoded.targets.tolist() == ids


def test_completions_are_greedy_and_do_not_depend_on_padding(model):
    prompts = ["the cat", "numbers such as 1 2"]
    together = model.complete(prompts, 6)
    assert together == [model.complete([prompt], 6)[0] for prompt in prompts]
    with pytest.raises(RequestError, match="too many for a model"):
        model.complete(["word " * 60], 6)


def test_a_copy_learns_alone_and_shares_the_tokenizer(model):
    twin = copy.deepcopy(model)
    assert twin.tokenizer is model.tokenizer
    before = fingerprint({"": model.module})
    with torch.no_grad():
        next(twin.module.parameters()).add_(1)
    assert fingerprint({"": model.module}) == before


def test_what_it_answers_follows_from_its_files(folder, tmp_path):
    assert set(Hf(path=folder).protocols()) == {"logprob", "complete"}
    classifier = str(language_models.text_classifier(tmp_path / "classifier"))
    encoder = str(language_models.embedder(tmp_path / "encoder"))
    assert set(Hf(path=classifier).protocols()) == {"logits"}
    assert set(Hf(path=encoder).protocols()) == {"embed"}
    assert set(Hf(path=encoder, new_head=True).protocols()) == {"logits"}
    assert built(Hf(path=classifier)).labels == ("bad", "good")
    fresh = Hf(path=classifier, new_head=True).build((), "text", ("a", "b", "c"))
    assert fresh.logits(TEXTS).shape == (4, 3)


def test_vectors_ignore_padding(tmp_path):
    encoder = built(Hf(path=str(language_models.embedder(tmp_path))))
    with torch.no_grad():
        vectors = encoder.embed(TEXTS)
        alone = torch.cat([encoder.embed(TEXTS[[row]]) for row in range(4)])
    torch.testing.assert_close(vectors, alone, rtol=1e-4, atol=1e-6)


def test_tokens_counted_from_behind_the_padding_leave_fewer_places(tmp_path):
    encoder = built(Hf(path=str(language_models.roberta(tmp_path, places=34))))
    assert encoder.longest == 32
    with torch.no_grad():
        assert encoder.embed(Texts(("word " * 99,))).isfinite().all()


def test_other_inputs_are_refused(folder):
    with pytest.raises(RequestError, match="takes texts, but the inputs are image"):
        Hf(path=folder).build((1, 8, 8), "image", ("a", "b"))


def test_only_adapters_learn(folder):
    model = built(Lora(of={"use": "hf", "path": folder}, rank=4))
    plain = built(Hf(path=folder))
    names = [name for name, weight in model.module.named_parameters() if weight.requires_grad]
    assert names
    assert all("lora" in name for name in names)
    assert nll(model, TEXTS) == pytest.approx(nll(plain, TEXTS))
    with pytest.raises(RequestError, match="adapters can't be put"):
        built(Lora(of={"use": "hf", "path": folder}, targets=("nothing",)))


def test_beside_adapters_a_new_head_trains_whole(tmp_path):
    place = str(language_models.text_classifier(tmp_path))
    for targets in (("all-linear",), ("query",)):
        for fresh in (True, False):
            of = {"use": "hf", "path": place, "new_head": fresh}
            model = Lora(of=of, targets=targets).build((), "text", ("bad", "good"))
            named = model.module.named_parameters()
            trained = {name for name, weight in named if weight.requires_grad}
            heads = {name for name in trained if "classifier" in name}
            assert heads == ({"classifier.weight", "classifier.bias"} if fresh else set())
            assert all("lora_" in name for name in trained - heads)


def test_each_task_may_have_a_head_beside_adapters(tmp_path):
    of = {"use": "hf", "path": str(language_models.text_classifier(tmp_path))}
    model = one_head_per_task(Lora(of=of).build((), "text", ("bad", "good")))
    for name in ("one", "two"):
        model.add(name, model.new_head(), ("bad", "good"))
    assert model.each(["one", "two"], TEXTS).shape == (2, 4, 2)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("Phi3", "qkv_proj.weight` holds several matrices"), ("GPT2", "has no `intermediate_size`")],
)
def test_widths_that_cannot_be_cut_from_matrices_are_refused(tmp_path, kind, said):
    words = language_models.tokenizer()
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    sizes |= {"vocab_size": len(words), "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 1}
    more = {"num_key_value_heads": 4, "intermediate_size": 64} if kind == "Phi3" else {}
    config = getattr(transformers, f"{kind}Config")(**sizes, **more)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    with pytest.raises(RequestError, match=said):
        built(Smaller(of={"use": "hf", "path": str(tmp_path)}, layers=1, width=16))


def test_a_copy_of_all_layers_is_the_parent(folder):
    whole = built(Smaller(of={"use": "hf", "path": folder}, layers=3))
    assert nll(whole, TEXTS) == pytest.approx(nll(built(Hf(path=folder)), TEXTS))


def test_layers_are_taken_at_even_distances(folder):
    of = {"use": "hf", "path": folder}
    parent = built(Hf(path=folder)).module.state_dict()
    two = built(Smaller(of=of, layers=2)).module.state_dict()
    last = "model.layers.{}.mlp.up_proj.weight"
    assert torch.equal(two[last.format(0)], parent[last.format(0)])
    assert torch.equal(two[last.format(1)], parent[last.format(2)])
    named = built(Smaller(of=of, layers=(1, 2))).module.state_dict()
    assert torch.equal(named[last.format(0)], parent[last.format(1)])


def test_a_narrower_copy_has_the_leading_part_of_every_matrix(folder):
    narrow = built(Smaller(of={"use": "hf", "path": folder}, layers=1, width=16))
    parent = built(Hf(path=folder)).module.state_dict()
    for name, tensor in narrow.module.state_dict().items():
        leading = parent[name][tuple(slice(size) for size in tensor.shape)]
        assert torch.equal(tensor, leading), name
    assert np.isfinite(nll(narrow, TEXTS)).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"layers": 9}, "has 3 layers, so there is no layer 8"),
        ({"layers": 2, "width": 12}, "give a multiple of 16"),
        ({"layers": 2, "width": 64}, "can't be had from 32"),
    ],
)
def test_sizes_that_cannot_be_had_are_refused(folder, settings, said):
    with pytest.raises(RequestError, match=said):
        built(Smaller(of={"use": "hf", "path": folder}, **settings))


def test_only_transformers_shrink():
    spec = Smaller(of={"use": "mlp"}, layers=1)
    with pytest.raises(RequestError, match="no transformer whose layers are known"):
        spec.build((4,), "features", ("a", "b"))


def test_tokenizers_are_compared_by_content():
    one = language_models.tokenizer()
    assert matched(one, language_models.tokenizer()) is None
    other = language_models.tokenizer(texts=["something else entirely, with other words"] * 3)
    assert len(other) <= len(one)
    with pytest.raises(RequestError, match="known to one only"):
        matched(one, other)


def test_tokens_of_other_likelihoods_cut_texts_otherwise():
    one, other = (_unigram(of_ab) for of_ab in (-9.0, -0.5))
    assert one("ab")["input_ids"] != other("ab")["input_ids"]
    with pytest.raises(RequestError, match="cut texts by other rules"):
        matched(one, other)


def _unigram(of_ab):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = [("<start>", 0.0), ("a", -1.0), ("b", -1.0), ("ab", of_ab)]
    made = Tokenizer(models.Unigram(words, unk_id=0))
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<start>")


def test_the_same_tokens_in_another_order_are_mapped():
    one, other = language_models.tokenizer(), language_models.tokenizer()
    turned = _renumbered(other)
    order = matched(one, turned)
    assert vocabulary(one) != vocabulary(turned)
    names = {number: token for token, number in turned.get_vocab().items()}
    for token, number in one.get_vocab().items():
        assert names[order[number]] == token


def _renumbered(tokenizer):
    """The same tokens under other numbers; the special ones stay."""
    import json

    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    words = rules["model"]["vocab"]
    moved = sorted(word for word, number in words.items() if number > 1)
    numbers = sorted(number for number in words.values() if number > 1)
    words.update(zip(moved, numbers, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(rules)))


def test_a_tokenizer_without_start_or_end_is_refused():
    bare = language_models.tokenizer()
    bare.bos_token = bare.eos_token = None
    with pytest.raises(RequestError, match="no token for the start or the end"):
        encode(TEXTS, bare, 32, torch.device("cpu"))


def test_another_tokenizer_is_another_input_of_the_journal(folder, model):
    from dataclasses import replace

    from bequest.transfer.state import reading

    other = replace(model, tokenizer=language_models.tokenizer(texts=["other words"] * 3))
    shorter = replace(model, longest=32)
    told = [reading(each)["tokens"] for each in (model, other, shorter)]
    assert len(set(told)) == 3
    assert reading({"student": copy.deepcopy(model)})["tokens"] == told[0]
    assert reading(torch.nn.Linear(2, 2)) == {}


def test_several_gguf_files_need_a_name(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    (problem,) = Hf(path=str(tmp_path)).check()
    assert "several GGUF files" in problem.what
    assert "a.gguf, b.gguf" in problem.fix
