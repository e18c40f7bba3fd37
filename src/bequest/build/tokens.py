"""Texts as the tokens of one model: windows without padding in what is counted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError
from bequest.lazy import torch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bequest.core.live import Texts

_SHOWN = 5


@dataclass(frozen=True)
class Encoded:
    """Some texts as windows of tokens.

    ids, mask: int64 [windows, tokens], padded on the right; mask is 1 where a token stands.
    places: where in the flattened windows the model says what comes next, [predicted tokens].
    targets: the tokens that do come next, int64 [predicted tokens].
    lengths: predicted tokens of each text, int64 [texts].
    """

    ids: torch.Tensor
    mask: torch.Tensor
    places: torch.Tensor
    targets: torch.Tensor
    lengths: torch.Tensor


@dataclass(frozen=True)
class Window:
    """What a model reads at once: `ids`, of which those from `start` on are predicted."""

    ids: list[int]
    start: int


def encode(
    texts: Texts,
    tokenizer: Any,
    longest: int,
    device: torch.device,
    turned: Sequence[bool] = (),
    *,
    chat: bool = False,
) -> Encoded:
    """Every token of every text once, each behind those that stand before it in its window.

    Prompts and texts become tokens apart from each other, so a text has the same tokens behind any
    prompt. A text that doesn't fit goes on in further windows, which begin anew: without the prompt
    and what was read before.

    turned: which texts are read from their end, none if left out. Tokens are turned round, never
    characters; the prompt of such a text is what stands behind it, and is read from its end first.
    chat: whether prompts are messages of a user; see `begun`.

    Raises:
        RequestError: a prompt leaves no room for its text.
    """
    first, end = first_token(tokenizer), _end(texts, tokenizer)
    chat = chat and bool(texts.prompts)
    prompts = begun(texts.prompts or ("",) * len(texts), tokenizer, chat=chat)
    # The blank between a prompt and its answer is not for a template, which has its own marks.
    said = [text.removeprefix(" ") for text in texts.texts] if chat else texts.texts
    rows = zip(prompts, ids_of(said, tokenizer), turned or [False] * len(texts), strict=True)
    cut = [
        windows(
            [*before[:1], *in_order(before[1:], turn)], in_order(ids, turn) + end, first, longest
        )
        for before, ids, turn in rows
    ]
    flat = [window for each in cut for window in each]
    width = max((len(window.ids) for window in flat), default=1)
    # Lists become tensors once: a tensor of its own for each window takes longer than all the rest.
    sizes = [len(window.ids) for window in flat]
    padded = [window.ids + [0] * (width - size) for window, size in zip(flat, sizes, strict=True)]
    mask = [[1] * size + [0] * (width - size) for size in sizes]
    places = [
        row * width + place
        for row, (window, size) in enumerate(zip(flat, sizes, strict=True))
        for place in range(window.start - 1, size - 1)
    ]
    targets = [token for window in flat for token in window.ids[window.start :]]
    lengths = [sum(len(one.ids) - one.start for one in each) for each in cut]
    whole = (_table(padded, width), _table(mask, width), *map(_row, (places, targets, lengths)))
    return Encoded(*(part.to(device) for part in whole))


def windows(before: list[int], ids: list[int], first: int, longest: int) -> list[Window]:
    """Cut `ids` so that each is predicted once; later windows begin anew with the token `first`.

    before: what the first window begins with.

    Raises:
        RequestError: `before` leaves no room.
    """
    room = longest - len(before)
    if room < 1:
        raise RequestError(
            Problem(
                f"a prompt has {len(before)} tokens, but the model reads {longest} at once",
                "shorten the prompts, or give the model a larger `longest`",
            )
        )
    starts = range(room, len(ids), longest - 1)
    further = (Window([first, *ids[start : start + longest - 1]], 1) for start in starts)
    return [Window([*before, *ids[:room]], len(before)), *further]


def first_token(tokenizer: Any) -> int:
    """What stands before every text, so that its first token is predicted too.

    Raises:
        RequestError: the tokenizer has neither a token for the start nor for the end.
    """
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    what = "the tokenizer has no token for the start or the end of a text"
    raise RequestError(Problem(what, "name one in its tokenizer_config.json"))


def begun(prompts: Sequence[str], tokenizer: Any, *, chat: bool) -> list[list[int]]:
    """The tokens that stand before what a model says: a first token, and those of the prompt.

    A prompt that begins with the first token gets no second one.

    chat: each prompt is a message of a user, written as the tokenizer's chat template writes it, up
        to where the model answers. Nothing is put before that.

    Raises:
        RequestError: the template can't write a message.
    """
    first = first_token(tokenizer)
    if chat:
        written = ids_of([_as_message(prompt, tokenizer) for prompt in prompts], tokenizer)
        return [ids or [first] for ids in written]
    return [ids if ids[:1] == [first] else [first, *ids] for ids in ids_of(prompts, tokenizer)]


def _as_message(prompt: str, tokenizer: Any) -> str:
    said = [{"role": "user", "content": prompt}]
    try:
        written: str = tokenizer.apply_chat_template(
            said, tokenize=False, add_generation_prompt=True
        )
    except Exception as error:
        what = f"the tokenizer's chat template fails: {str(error).strip().partition(chr(10))[0]}"
        fix = "leave `chat` out, or mend the template"
        raise RequestError(Problem(what, fix, ("chat",))) from error
    return written


def ids_of(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """The tokens of each text, with nothing added."""
    if not texts:
        return []
    found: list[list[int]] = tokenizer(
        list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False
    )["input_ids"]
    return found


def reads(tokenizer: Any, longest: int, more: str = "") -> str:
    """A digest of how texts become tokens and windows; `more` is what else decides that."""
    ends = f"{tokenizer.bos_token_id} {tokenizer.eos_token_id} {longest}{more}"
    return hashlib.sha256(f"{vocabulary(tokenizer)} {ends}".encode()).hexdigest()[:16]


def vocabulary(tokenizer: Any) -> str:
    """A digest of everything that decides how a text becomes tokens: equal digests, equal ids."""
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    told = {name: rules.get(name) for name in ("normalizer", "pre_tokenizer", "model")}
    added = sorted((token["id"], token["content"]) for token in rules.get("added_tokens", ()))
    return hashlib.sha256(json.dumps([told, added], sort_keys=True).encode()).hexdigest()


def matched(asked: Any, known: Any) -> list[int] | None:
    """Where each token of the tokenizer `asked` stands in the vocabulary of `known`.

    None where both are the same, position by position.

    Raises:
        RequestError: they cut texts into other tokens; compared by content, never by size.
    """
    if vocabulary(asked) == vocabulary(known):
        return None
    ours, theirs = asked.get_vocab(), known.get_vocab()
    if missing := sorted(ours.keys() ^ theirs.keys()):
        shown = ", ".join(f"`{token}`" for token in missing[:_SHOWN])
        what = f"the models read other tokens: {len(missing)} are known to one only ({shown} …)"
        raise RequestError(Problem(what, "use models with one tokenizer"))
    if _cuts(asked) != _cuts(known):
        what = "the models know the same tokens, but cut texts by other rules"
        raise RequestError(Problem(what, "use models with one tokenizer"))
    order = sorted(ours, key=ours.__getitem__)
    return [theirs[token] for token in order]


def _cuts(tokenizer: Any) -> str:
    """How texts are cut, whatever numbers the tokens have."""
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    told = {name: rules.get(name) for name in ("normalizer", "pre_tokenizer", "model")}
    words = told["model"].pop("vocab", None)
    if isinstance(words, list):  # of a unigram model, with the likelihood of each: that decides
        told["words"] = sorted(words)
    return json.dumps(told, sort_keys=True)


def in_order(ids: list[int], turned: bool) -> list[int]:
    """The tokens as they are read: from their end where `turned`."""
    return ids[::-1] if turned else ids


def until_end(row: Sequence[int], ends: Collection[int]) -> list[int]:
    """The tokens of a row that stand before the first of `ends`."""
    return list(takewhile(lambda token: token not in ends, row))


def _end(texts: Texts, tokenizer: Any) -> list[int]:
    closed = texts.closed and tokenizer.eos_token_id is not None
    return [tokenizer.eos_token_id] if closed else []


def _row(numbers: list[int]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.int64)


def _table(rows: list[list[int]], width: int) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.int64).view(len(rows), width)
