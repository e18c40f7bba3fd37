"""How likely a language model finds texts: summed over tokens, however they are batched."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.build.answered import refuse_nan
from bequest.build.batches import by_length
from bequest.build.classification import answering
from bequest.build.memorising import (
    exact_memorisation,
    extraction_strength,
    min_k,
    min_k_plus,
    spans,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bequest.core.live import Model, Texts
    from bequest.lazy import torch

_WHOLE = ("tokens", "bytes")
_NAMES = (
    "text_nll", "tokens", "bytes", "loss", "memorised", "extraction", "min_k", "min_k_plus", "zlib",
)  # fmt: skip
_COLUMNS = {name: np.int32 if name in _WHOLE else np.float32 for name in _NAMES}


def likelihoods(model: Model, texts: Texts) -> Mapping[str, NDArray[Any]]:
    """`text_nll` (nats, summed over the text), `tokens` and `bytes` (UTF-8) of every text, [n].

    Prompts are read and not counted.

    Raises:
        NotNumbers: a log-probability is NaN.
    """
    nll, tokens = np.zeros(len(texts)), np.zeros(len(texts), np.int32)
    with answering(model.module):
        for rows in by_length(texts):
            found = cast("Any", model).logprob(texts[rows])
            sizes = found.lengths.cpu()
            each = found.values.cpu().double().split(sizes.tolist())
            nll[rows] = [-float(values.sum()) for values in each]
            tokens[rows] = sizes.numpy()
    refuse_nan(nll)
    sizes = np.array([len(text.encode()) for text in texts.texts], np.int32)
    return {"text_nll": nll.astype(np.float32), "tokens": tokens, "bytes": sizes}


def remembered(model: Model, texts: Texts) -> Mapping[str, NDArray[Any]]:
    """`likelihoods`, and how well each text is remembered, [n]; see `memorising`.

    `loss` (nats, mean over tokens), `memorised`, `extraction`, `min_k`, `min_k_plus` and `zlib`:
    the loss by the bytes that the text is compressed to. A model that doesn't say how tokens stand
    among others gives `likelihoods` and `loss` only.

    Raises:
        NotNumbers: a log-probability is NaN.
    """
    if not hasattr(model, "standing"):
        found = dict(likelihoods(model, texts))
        return {**found, "loss": found["text_nll"] / np.maximum(found["tokens"], 1)}
    each: list[Any] = [None] * len(texts)
    with answering(model.module):
        for rows in by_length(texts):
            stands = model.standing(texts[rows])
            parts = spans(stands.values.cpu().double().numpy(), stands.lengths.tolist())
            for row, part in zip(rows.tolist(), parts, strict=True):
                each[row] = _of_text(part, texts.texts[row], texts.closed)
    refuse_nan(np.array([one["text_nll"] for one in each], np.float64))
    return {name: np.array([one[name] for one in each], kind) for name, kind in _COLUMNS.items()}


def _of_text(stands: NDArray[np.float64], text: str, closed: bool) -> dict[str, float]:
    """stands: [tokens, 4], as `LanguageModel.standing` gives them."""
    found, right, mean, variance = stands[: len(stands) - closed].T  # the end is no memory
    loss = -stands[:, 0].sum() / max(1, len(stands))
    return {
        "text_nll": -stands[:, 0].sum(),
        "tokens": len(stands),
        "bytes": len(text.encode()),
        "loss": loss,
        "memorised": exact_memorisation(right),
        "extraction": extraction_strength(right),
        "min_k": min_k(found),
        "min_k_plus": min_k_plus(found, mean, variance),
        "zlib": loss / len(zlib.compress(text.strip().encode())),
    }


def summed_nll(model: Any, texts: Texts) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-probability summed over all tokens, in nats, and how many they are."""
    found = model.logprob(texts)
    return -found.values.sum(), found.lengths.sum()
