"""Pretrained models of texts: language models, classifiers and embedders, with their tokenizers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from bequest.build.language import LanguageModel, check_head
from bequest.build.paths import read_json
from bequest.build.pretrained import load
from bequest.build.tokens import reads
from bequest.build.vision import names_of_logits, new_head, quiet, replace_head
from bequest.core.errors import Problem, RequestError
from bequest.lazy import functional, torch, transformers

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from bequest.build.models.hf import Hf
    from bequest.build.pretrained import Files
    from bequest.core.live import Texts

_MODULES = {"Transformer", "Pooling", "Normalize"}  # of sentence-transformers


@dataclass(eq=False)
class TextClassifier:
    """A `…ForSequenceClassification` of transformers with its tokenizer; answers with logits."""

    module: torch.nn.Module
    labels: tuple[str, ...]
    tokenizer: Any
    longest: int
    answers: Collection[str] = frozenset({"logits"})

    @cached_property
    def reads(self) -> str:
        """A digest of how texts become tokens and windows."""
        return reads(self.tokenizer, self.longest)

    def logits(self, inputs: Texts) -> torch.Tensor:
        """One unnormalised score per label for each text: [batch, labels].

        What is longer than the model reads at once is cut off at its end.
        """
        answer = self.module(**padded(inputs, self.tokenizer, self.longest, self.module))
        return cast("torch.Tensor", answer.logits)


@dataclass(eq=False)
class Embedder:
    """An encoder of transformers with its tokenizer; answers with one vector per text.

    pooling: "mean" over tokens, or "first" token; normalized: whether vectors have length 1.
    """

    module: torch.nn.Module
    tokenizer: Any
    longest: int
    pooling: str = "mean"
    normalized: bool = True
    labels: tuple[str, ...] = ()
    answers: Collection[str] = frozenset({"embed"})

    @cached_property
    def reads(self) -> str:
        """A digest of how texts become tokens and windows."""
        return reads(self.tokenizer, self.longest)

    def embed(self, inputs: Texts) -> torch.Tensor:
        """One vector per text: [batch, width]; what is too long is cut off at its end."""
        tokens = padded(inputs, self.tokenizer, self.longest, self.module)
        states = self.module(**tokens).last_hidden_state  # [batch, tokens, width]
        vectors = pooled(states, tokens["attention_mask"], self.pooling)
        return functional.normalize(vectors, dim=1) if self.normalized else vectors


def pooled(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector per text from those of its tokens: [batch, tokens, width] -> [batch, width].

    mask: 1 where a token stands, [batch, tokens]; pooling: "mean" over these, or "first". The mean
    of no tokens is zero.
    """
    if pooling == "first":
        return states[:, 0]
    there = mask[..., None].to(states.dtype)  # [batch, tokens, 1]
    return (states * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)


def language_model(spec: Hf, files: Files) -> LanguageModel:
    """The language model in `files`.

    Raises:
        RequestError: it can't be loaded, or its answers can't be taken apart.
    """
    tokenizer = _tokenizer(spec.path, files)
    with quiet():
        kind = transformers.AutoModelForCausalLM
        net = load(kind, spec.path, files, dtype=torch.float32).eval()
    net.generation_config = transformers.GenerationConfig()  # a file's would change what is written
    model = LanguageModel(net, tokenizer, _longest(spec, net))
    check_head(model)
    return model


def text_classifier(spec: Hf, files: Files, labels: tuple[str, ...]) -> TextClassifier:
    """The classifier of texts in `files`, with a new head for `labels` where that is asked for.

    Raises:
        RequestError: it can't be loaded.
    """
    tokenizer = _tokenizer(spec.path, files)
    kind = transformers.AutoModelForSequenceClassification
    head = new_head(len(labels)) if spec.new_head else {}
    with quiet():
        net = load(kind, spec.path, files, dtype=torch.float32, **head).eval()
        if spec.new_head:
            replace_head(net)
    net.config.pad_token_id = tokenizer.pad_token_id
    known = labels if spec.new_head else names_of_logits(net.config)
    return TextClassifier(net.eval(), known, tokenizer, _longest(spec, net))


def embedder(spec: Hf, files: Files) -> Embedder:
    """The embedder in `files`; pooled as its sentence-transformers settings say, by mean if none.

    Raises:
        RequestError: it can't be loaded, or is pooled in a way that is not supported.
    """
    tokenizer = _tokenizer(spec.path, files)
    with quiet():
        net = load(transformers.AutoModel, spec.path, files, dtype=torch.float32).eval()
    pooling, normalized = _pooling(spec.path, files.folder)
    settings = files.folder / "sentence_bert_config.json"
    told = read_json(settings).get("max_seq_length") if settings.is_file() else None
    longest = min(_longest(spec, net), told) if isinstance(told, int) else _longest(spec, net)
    return Embedder(net, tokenizer, longest, pooling, normalized)


def padded(texts: Texts, tokenizer: Any, longest: int, module: torch.nn.Module) -> dict[str, Any]:
    """A batch of whole texts as an encoder takes them, on its device."""
    whole = [texts.whole(number) for number in range(len(texts))]
    tokens = tokenizer(
        whole, padding=True, truncation=True, max_length=longest, return_tensors="pt"
    )
    device = next(module.parameters()).device
    return {name: values.to(device) for name, values in tokens.items()}


def _tokenizer(path: str, files: Files) -> Any:
    with quiet():
        tokenizer = load(transformers.AutoTokenizer, path, files)
    if not tokenizer.is_fast:
        what = f"`{path}` has no tokenizer.json"
        raise RequestError(Problem(what, "save its tokenizer in the fast form", ("path",)))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token
    return tokenizer


def _longest(spec: Hf, net: Any) -> int:
    can = getattr(net.config, "max_position_embeddings", None) or spec.longest
    places = getattr(getattr(net.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(places, "padding_idx", None)
    # Such models (RoBERTa, MPNet) count tokens from behind the place of padding.
    return min(spec.longest, int(can) - (0 if padding is None else padding + 1))


def _pooling(path: str, folder: Path) -> tuple[str, bool]:
    """How token vectors become one, as sentence-transformers saved it, and whether of length 1."""
    modules = folder / "modules.json"
    listed = modules.read_text(encoding="utf-8") if modules.is_file() else ""
    kinds = set(re.findall(r'"type"\s*:\s*"[^"]*?(\w+)"', listed))
    if odd := sorted(kinds - _MODULES):
        what = f"`{path}` changes its vectors by {', '.join(odd)}"
        raise RequestError(Problem(what, "such embedders are not supported", ("path",)))
    normalized = "Normalize" in kinds
    settings = folder / "1_Pooling" / "config.json"
    if not settings.is_file():
        return "mean", normalized
    told = read_json(settings)
    if told.get("pooling_mode_mean_tokens"):
        return "mean", normalized
    if told.get("pooling_mode_cls_token"):
        return "first", normalized
    what = f"`{path}` pools its vectors by neither mean nor first token"
    raise RequestError(Problem(what, "such embedders are not supported", ("path",)))
