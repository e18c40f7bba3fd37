"""What models write behind prompts, asked for in batches of prompts of like length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from bequest.build.batches import CHARACTERS, by_length
from bequest.build.classification import answering
from bequest.core.live import Texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.core.live import Model

_OF_A_TOKEN = 4  # characters, in most languages and vocabularies


def completions(
    model: Model, prompts: Sequence[str], longest: int, temperature: float = 0.0
) -> tuple[str, ...]:
    """What the model writes behind each prompt, at most `longest` tokens.

    temperature: 0 for the likeliest token each time; otherwise torch's global generator draws.
    """
    texts, found = Texts(tuple(prompts)), [""] * len(prompts)
    with answering(model.module):
        for rows in by_length(texts, CHARACTERS, more=longest * _OF_A_TOKEN):
            said = cast("Any", model).complete(texts[rows].texts, longest, temperature)
            for row, text in zip(rows.tolist(), said, strict=True):
                found[row] = text
    return tuple(found)
