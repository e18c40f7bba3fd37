"""How likely a language model finds texts: summed over tokens, however they are batched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.build.batches import by_length
from bequest.build.classification import answering

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bequest.core.live import Model, Texts
    from bequest.lazy import torch


def likelihoods(model: Model, texts: Texts) -> Mapping[str, NDArray[Any]]:
    """`text_nll` (nats, summed over the text), `tokens` and `bytes` (UTF-8) of every text, [n].

    Prompts are read and not counted.
    """
    nll, tokens = np.zeros(len(texts)), np.zeros(len(texts), np.int32)
    with answering(model.module):
        for rows in by_length(texts):
            found = cast("Any", model).logprob(texts[rows])
            sizes = found.lengths.cpu()
            each = found.values.cpu().double().split(sizes.tolist())
            nll[rows] = [-float(values.sum()) for values in each]
            tokens[rows] = sizes.numpy()
    sizes = np.array([len(text.encode()) for text in texts.texts], np.int32)
    return {"text_nll": nll.astype(np.float32), "tokens": tokens, "bytes": sizes}


def summed_nll(model: Any, texts: Texts) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-probability summed over all tokens, in nats, and how many they are."""
    found = model.logprob(texts)
    return -found.values.sum(), found.lengths.sum()
