"""Language models from scratch: a vocabulary learned from a text, and new weights."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bequest.build.documents import documents, has_records, records
from bequest.build.finding import fetched
from bequest.build.language import LanguageModel
from bequest.core.errors import Problem, RequestError
from bequest.lazy import transformers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bequest.build.models.transformer import Transformer

_BEGIN, _END = "<s>", "</s>"


def new_language_model(spec: Transformer, kind: str) -> LanguageModel:
    """A model with weights from torch's global generator.

    Raises:
        RequestError: the text of the vocabulary can't be used, or the inputs are no texts.
    """
    if kind != "text":
        what = f"a `transformer` takes texts, but the inputs are {kind or 'unknown'}"
        raise RequestError(Problem(what, "`use: mlp` takes inputs of any shape"))
    place = fetched(spec.path)
    changed = place.stat().st_mtime_ns
    tokenizer = _tokenizer(str(place), changed, spec.columns, spec.vocabulary)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.width,
        intermediate_size=4 * spec.width,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        max_position_embeddings=spec.longest,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    net = transformers.LlamaForCausalLM(config).eval()
    net.generation_config = transformers.GenerationConfig()
    return LanguageModel(net, tokenizer, spec.longest)


@lru_cache(maxsize=4)  # every model of a run is built more than once
def _tokenizer(place: str, changed: int, columns: tuple[str, ...], size: int) -> Any:
    """Pieces of words that are frequent in the text; bytes are among them, so any text has tokens.

    changed: when the text was, so that another one is read anew.
    """
    import tokenizers

    del changed
    pieces = tokenizers.ByteLevelBPETokenizer()
    pieces.train_from_iterator(
        _texts(place, columns), size, special_tokens=[_BEGIN, _END], show_progress=False
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=pieces._tokenizer, bos_token=_BEGIN, eos_token=_END, pad_token=_END
    )


def _texts(place: str, columns: tuple[str, ...]) -> Iterator[str]:
    if not has_records(place):
        yield from (text for _, text in documents(place))
        return
    for one in records(place):
        yield from (one.text(column) for column in columns)
