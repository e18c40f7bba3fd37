"""What models write behind prompts, asked for in batches of prompts of like length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from bequest.build.batches import CHARACTERS, by_length
from bequest.build.classification import answering
from bequest.core.live import Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bequest.core.live import Model

T = TypeVar("T")
_OF_A_TOKEN = 4  # characters, in most languages and vocabularies


def completions(
    model: Model, prompts: Sequence[str], longest: int, temperature: float = 0.0
) -> tuple[str, ...]:
    """What the model writes behind each prompt, at most `longest` tokens.

    temperature: 0 for the likeliest token each time; otherwise torch's global generator draws.
    """

    def ask(some: Sequence[str]) -> Sequence[str]:
        said: Sequence[str] = cast("Any", model).complete(some, longest, temperature)
        return said

    return tuple(_in_batches(model, prompts, longest, ask))


def proposals(model: Model, prompts: Sequence[str], longest: int) -> tuple[Sequence[str], ...]:
    """The answers that the model proposes to each prompt, each of at most `longest` tokens."""

    def ask(some: Sequence[str]) -> Sequence[Sequence[str]]:
        said: Sequence[Sequence[str]] = cast("Any", model).propose(some, longest)
        return said

    return tuple(_in_batches(model, prompts, longest, ask))


def _in_batches(
    model: Model, prompts: Sequence[str], longest: int, ask: Callable[[Sequence[str]], Sequence[T]]
) -> list[T]:
    texts, found = Texts(tuple(prompts)), dict[int, T]()
    with answering(model.module):
        for rows in by_length(texts, CHARACTERS, more=longest * _OF_A_TOKEN):
            found |= dict(zip(rows.tolist(), ask(texts[rows].texts), strict=True))
    return [found[row] for row in range(len(prompts))]
