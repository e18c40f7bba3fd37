"""How likely a language model finds texts: summed over tokens, however they are batched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.build.classification import answering

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from bequest.core.live import Model, Texts
    from bequest.lazy import torch

CHARACTERS = 8192  # of the texts that are asked about at once, padding included


def likelihoods(model: Model, texts: Texts) -> Mapping[str, NDArray[Any]]:
    """`text_nll` (nats, summed over the text), `tokens` and `bytes` (UTF-8) of every text, [n].

    Prompts are read and not counted.
    """
    nll, tokens = np.zeros(len(texts)), np.zeros(len(texts), np.int32)
    with answering(model.module):
        for rows in by_length(texts):
            found = cast("Any", model).logprob(texts[rows])
            sizes = found.lengths.cpu()
            each = found.values.double().cpu().split(sizes.tolist())
            nll[rows] = [-float(values.sum()) for values in each]
            tokens[rows] = sizes.numpy()
    sizes = np.array([len(text.encode()) for text in texts.texts], np.int32)
    return {"text_nll": nll.astype(np.float32), "tokens": tokens, "bytes": sizes}


def by_length(texts: Texts, most: int = CHARACTERS, more: int = 0) -> Iterator[NDArray[np.int64]]:
    """Places of texts of like length together, long ones first, so that little is padded.

    most: characters of a batch, counted as if each text were as long as the longest of them.
    more: characters that are written behind each text.
    """
    sizes = np.array([len(texts.whole(row)) + more for row in range(len(texts))], np.int64)
    order = np.argsort(-sizes, kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(sizes[order[start]]))
        end = start + max(1, most // longest)
        yield order[start:end]
        start = end


def summed_nll(model: Any, texts: Texts) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-probability summed over all tokens, in nats, and how many they are."""
    found = model.logprob(texts)
    return -found.values.sum(), found.lengths.sum()
