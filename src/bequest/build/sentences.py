"""Pretrained models of texts: language models, classifiers and embedders, with their tokenizers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from bequest.build.language import LanguageModel, check_head
from bequest.build.paths import read_json
from bequest.build.pretrained import config_of, load, load_beside
from bequest.build.sentence_files import NO_PROMPTS
from bequest.build.sentence_modules import behind, lower_case, with_behind
from bequest.build.tokens import reads
from bequest.build.vision import names_of_logits, new_head, quiet, replace_head
from bequest.core.errors import Problem, RequestError
from bequest.lazy import functional, torch, transformers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bequest.build.models.hf import Hf
    from bequest.build.pretrained import Files
    from bequest.build.sentence_files import Prompts
    from bequest.core.live import Texts

# Settings for generating that change which tokens the likeliest text is made of, and their values
# that change nothing.
_UNUSED = {
    "suppress_tokens": None, "begin_suppress_tokens": None, "bad_words_ids": None,
    "sequence_bias": None, "forced_bos_token_id": None, "forced_eos_token_id": None,
    "stop_strings": None, "min_length": 0, "min_new_tokens": 0, "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0, "exponential_decay_length_penalty": None,
}  # fmt: skip
_GENERATION = "generation_config.json"


@dataclass(eq=False)
class TextClassifier:
    """A `…ForSequenceClassification` of transformers with its tokenizer; answers with logits.

    files, notes: what it was read from, and what a user should know of how.
    """

    module: torch.nn.Module
    labels: tuple[str, ...]
    tokenizer: Any
    longest: int
    answers: Collection[str] = frozenset({"logits"})
    notes: tuple[str, ...] = ()
    files: Files | None = None

    @cached_property
    def reads(self) -> str:
        """A digest of how texts become tokens and windows."""
        return reads(self.tokenizer, self.longest)

    def logits(self, inputs: Texts) -> torch.Tensor:
        """One unnormalised score per label for each text: [batch, labels].

        What is longer than the model reads at once is cut off, at the end if the tokenizer says
        nothing else.
        """
        whole = [inputs.whole(number) for number in range(len(inputs))]
        answer = self.module(**padded(whole, self.tokenizer, self.longest, self.module))
        return cast("torch.Tensor", answer.logits)


@dataclass(eq=False)
class Embedder:
    """An encoder of transformers with its tokenizer; answers with one vector per text.

    module: the encoder, or it and the modules of sentence-transformers behind it.
    pooling: "mean" over tokens, or "first" token; normalized: whether vectors have length 1; both
        are of no account where there are modules behind the encoder.
    width: how many numbers of a vector are kept, the first; None for all.
    prompts: what is put before texts. similarity: how vectors are compared, "cosine" or "dot".
    files, notes: what it was read from, and what a user should know of how.
    """

    module: torch.nn.Module
    tokenizer: Any
    longest: int
    pooling: str = "mean"
    normalized: bool = True
    width: int | None = None
    labels: tuple[str, ...] = ()
    answers: Collection[str] = frozenset({"embed"})
    prompts: Prompts = NO_PROMPTS
    similarity: str = "dot"
    notes: tuple[str, ...] = ()
    files: Files | None = None

    @cached_property
    def reads(self) -> str:
        """What decides a vector beside weights: tokens, windows, prompts, and what is behind."""
        how = f"{self.pooling} {self.normalized}"
        if isinstance(self.module, torch.nn.ModuleDict):
            how = repr(self.module["behind"])
        return f"{reads(self.tokenizer, self.longest, self.prompts.digest)} {how} {self.width}"

    def embed(self, inputs: Texts) -> torch.Tensor:
        """One vector per text: [batch, width]; what is too long is cut off.

        Each text stands behind the prompt for its role.
        """
        return self._whole(inputs)[:, : self.width]

    def _whole(self, inputs: Texts) -> torch.Tensor:
        before = self.prompts.before_each(inputs)
        whole = [prompt + inputs.whole(row) for row, prompt in enumerate(before)]
        tokens = padded(whole, self.tokenizer, self.longest, self.module)
        if isinstance(self.module, torch.nn.ModuleDict):
            return behind(self.module, tokens, self._lengths(before))
        states = self.module(**tokens).last_hidden_state  # [batch, tokens, width]
        vectors = pooled(states, tokens["attention_mask"], self.pooling)
        return functional.normalize(vectors, dim=1) if self.normalized else vectors

    def _lengths(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of each prompt with those that stand before every text, but not behind."""
        behind = {self.tokenizer.sep_token_id, self.tokenizer.eos_token_id}
        sizes = {"": 0}
        for prompt in {*prompts} - {""}:
            ids = self.tokenizer(prompt)["input_ids"]
            sizes[prompt] = len(ids) - (ids[-1] in behind)
        return [sizes[prompt] for prompt in prompts]


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
    of_its_own = not files.gguf and (files.folder / _GENERATION).is_file()
    if of_its_own:
        read_json(files.folder / _GENERATION)  # what is damaged, transformers leaves out
    with quiet():
        kind = transformers.AutoModelForCausalLM
        net = load(kind, spec.path, files, dtype=torch.float32).eval()
    if not of_its_own:
        net.generation_config = transformers.GenerationConfig()  # not what the class has as default
    ends = end_tokens(net, tokenizer, {} if files.gguf else config_of(files))
    files.notes.extend(_of_generation(spec, net, tokenizer))
    net.generation_config = transformers.GenerationConfig()  # a file's would change what is written
    model = LanguageModel(net, tokenizer, _longest(spec, net), ends=ends, chat=spec.chat)
    check_head(model)
    return model


def end_tokens(net: Any, tokenizer: Any, config: Mapping[str, Any]) -> tuple[int, ...]:
    """Every token that ends what a model writes: its files may name several.

    config: what its config.json says, which counts where generation_config.json names none.

    Raises:
        RequestError: an `eos_token_id` is no whole number, and no list of such.
    """
    named = _listed(net.generation_config.eos_token_id) or _listed(config.get("eos_token_id"))
    known = net.get_input_embeddings().num_embeddings
    found = dict.fromkeys([*_listed(tokenizer.eos_token_id), *named])
    return tuple(token for token in found if 0 <= token < known)


def _listed(told: Any) -> list[int]:
    found = told if isinstance(told, list) else [] if told is None else [told]
    if odd := [token for token in found if type(token) is not int]:
        what = f"the `eos_token_id` of the model's files is {str(odd[0])[:100]!r}"
        raise RequestError(Problem(what, "it must be a whole number, or a list of such", ("path",)))
    return found


def _of_generation(spec: Hf, net: Any, tokenizer: Any) -> Iterator[str]:
    """What is left out of the settings for generating, and of the chat template."""
    told = net.generation_config.to_diff_dict()
    if odd := [name for name, usual in _UNUSED.items() if told.get(name) not in (None, usual, [])]:
        yield f"its generation_config.json sets {', '.join(odd)}, which are not used"
    if tokenizer.chat_template and not spec.chat:
        yield "its tokenizer has a chat template, which is not used; `chat: true` would use it"
    if spec.chat and not tokenizer.chat_template:
        what = f"the tokenizer of `{spec.path}` has no chat template"
        raise RequestError(Problem(what, "leave `chat` out", ("chat",)))


def text_classifier(spec: Hf, files: Files, labels: tuple[str, ...]) -> TextClassifier:
    """The classifier of texts in `files`, with a new head for `labels` where that is asked for.

    Raises:
        RequestError: it can't be loaded.
    """
    tokenizer = _padding(spec.path, _tokenizer(spec.path, files))
    kind = transformers.AutoModelForSequenceClassification
    head = new_head(len(labels)) if spec.new_head else {}
    with quiet():
        net = load(kind, spec.path, files, dtype=torch.float32, **head).eval()
        if spec.new_head:
            replace_head(net)
    net.config.pad_token_id = tokenizer.pad_token_id
    known = labels if spec.new_head else names_of_logits(net.config)
    return TextClassifier(net.eval(), known, tokenizer, _longest(spec, net, tokenizer))


def embedder(spec: Hf, files: Files) -> Embedder:
    """The embedder in `files`, as sentence-transformers' files say; by mean if there are none.

    Raises:
        RequestError: it can't be loaded, or changes its vectors in a way that is not supported.
    """
    tokenizer = _padding(spec.path, _tokenizer(spec.path, files))
    told = files.sentence
    with quiet():
        net = load(_encoder(files), spec.path, files, dtype=torch.float32).eval()
    longest = _longest(spec, net, tokenizer, told.longest if told else None)
    if told is None:
        return Embedder(net, tokenizer, longest, "mean", normalized=False)
    if told.lower:
        lower_case(tokenizer)
    plain = told.plain()
    pooling, normalized = plain or ("mean", False)
    return Embedder(
        net if plain else with_behind(spec.path, net, told.behind),
        tokenizer,
        longest,
        pooling,
        normalized,
        told.width,
        prompts=told.prompts,
        similarity=told.similarity,
    )


def _encoder(files: Files) -> Any:
    """The `Auto…` class for the encoder: of T5 and its kin without the decoder."""
    named = config_of(files).get("architectures") or [""]
    alone = str(named[0]).endswith("EncoderModel")
    return transformers.AutoModelForTextEncoding if alone else transformers.AutoModel


def padded(
    texts: Sequence[str], tokenizer: Any, longest: int, module: torch.nn.Module
) -> dict[str, Any]:
    """A batch of texts as an encoder takes them, on its device."""
    tokens = tokenizer(
        list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt"
    )
    device = next(module.parameters()).device
    return {name: values.to(device) for name, values in tokens.items()}


def _tokenizer(path: str, files: Files) -> Any:
    with quiet():
        tokenizer = load_beside(transformers.AutoTokenizer, path, files)
    if not tokenizer.is_fast:
        what = f"`{path}` has no tokenizer.json"
        raise RequestError(Problem(what, "save its tokenizer in the fast form", ("path",)))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token
    return tokenizer


def _padding(path: str, tokenizer: Any) -> Any:
    """The tokenizer, padding on the right, so that a vector is the same in any batch."""
    if tokenizer.pad_token is None:
        what = f"the tokenizer of `{path}` has no token for padding"
        raise RequestError(Problem(what, "name a `pad_token` in its tokenizer_config.json"))
    tokenizer.padding_side = "right"
    return tokenizer


def _longest(spec: Hf, net: Any, tokenizer: Any = None, told: int | None = None) -> int:
    """How many tokens are read at once.

    tokenizer: whose `model_max_length` counts, unless `told` is what sentence-transformers reads.
    """
    can = getattr(net.config, "max_position_embeddings", None) or spec.longest
    places = getattr(getattr(net.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(places, "padding_idx", None)
    # Such models (RoBERTa, MPNet) count tokens from behind the place of padding.
    can = int(can) - (0 if padding is None else padding + 1)
    own = told if told is not None else getattr(tokenizer, "model_max_length", None) or can
    return min(spec.longest, can, int(own))
