"""An ONNX embedder is tried with the longest and with the shortest of texts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bequest.build import onnx_session
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
