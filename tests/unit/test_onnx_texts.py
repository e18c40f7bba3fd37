"""An ONNX embedder is tried with the longest and with the shortest of texts."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bequest.build import onnx_session
from bequest.build.models.onnx import Onnx
from bequest.build.onnx_session import OnnxEmbedder
from bequest.core.errors import RequestError
from bequest.core.live import Texts


def words(texts, *, max_length, **_):
    """A tokenizer without special tokens: one a word."""
    counts = [min(len(text.split()), max_length) for text in texts]
    mask = np.arange(max(counts)) < np.array(counts)[:, None]
    return {"input_ids": mask.astype(np.int64), "attention_mask": mask.astype(np.int64)}


def answer(tokens):
    if tokens["input_ids"].shape[1] > 16:
        raise RuntimeError("invalid expand shape\nmore")
    return np.ones((*tokens["input_ids"].shape, 4), np.float32)


@pytest.fixture
def embedder(monkeypatch):
    monkeypatch.setattr(onnx_session, "reads", lambda tokenizer, longest: "words")
    session = SimpleNamespace(output="o", run=answer)
    return lambda longest: OnnxEmbedder(torch.nn.Module(), session, words, longest)


def test_a_model_that_reads_fewer_tokens_is_refused_when_it_is_opened(embedder):
    onnx_session._try_out(embedder(16), "m.onnx")
    with pytest.raises(RequestError, match=r"longest.*17 tokens: invalid expand shape"):
        onnx_session._try_out(embedder(17), "m.onnx")


def test_a_text_without_tokens_has_a_finite_vector(embedder):
    assert torch.isfinite(embedder(16).embed(Texts(("", "a b")))).all()


# --- What sentence-transformers' files beside it say -----------------------------------------


def exported(folder):
    """An ONNX file in `folder/onnx` that gives each token its number, and a tokenizer of words."""
    from onnx import TensorProto, helper, save
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inside = folder / "onnx"
    inside.mkdir(parents=True)
    ids = {word: row for row, word in enumerate(("[PAD]", "a", "b", "c", "q:"))}
    made = Tokenizer(models.WordLevel(ids, unk_token="[PAD]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]").save_pretrained(inside)
    shape = ["batch", "tokens"]
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["floats", "axis"], ["o"]),
    ]
    graph = helper.make_graph(
        nodes,
        "numbers",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape)],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, [*shape, 1])],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [2])],
    )
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), inside / "model.onnx")
    return folder


def described(folder, pooling, **settings):
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    listed = [{"path": at, "type": f"sentence_transformers.models.{kind}"} for at, kind in kinds]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode": pooling}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))


def vectors(folder, *texts, roles=(), **settings):
    model = Onnx(path=str(folder / "onnx"), **settings).build((), "text", ())
    return model.embed(Texts(texts, roles=roles)).flatten().tolist()


def test_pooling_normalisation_and_prompts_are_those_of_the_files(tmp_path):
    place = exported(tmp_path)
    assert vectors(place, "c a", normalized=False) == [2]
    described(place, "cls", prompts={"query": "q: "})
    assert vectors(place, "c a") == [3]
    assert vectors(place, "c a", "c a", roles=("query", "document")) == [4, 3]
    assert vectors(place, "c a", pooling="mean") == [2]


def test_a_pooling_that_is_not_supported_is_not_guessed(tmp_path):
    place = exported(tmp_path)
    described(place, "max")
    with pytest.raises(RequestError, match="makes more of them than a mean or the first"):
        vectors(place, "c a")
