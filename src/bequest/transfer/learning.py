"""What a model learns from samples by themselves, whatever it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.likelihood import summed_nll
from bequest.core.errors import Problem, RequestError
from bequest.lazy import functional
from bequest.transfer.terms import Mean

if TYPE_CHECKING:
    from bequest.core.live import Batch
    from bequest.transfer.terms import Value

LEARNS = ("logits", "logprob")  # what a model must answer to learn so: one of these


def own_loss(model: Any, batch: Batch, label_smoothing: float = 0.0) -> Value:
    """Cross-entropy with the labels, or of each token of texts given those before; in nats.

    A mean over samples, or over all tokens of the batch. label_smoothing: share of each label that
    is spread evenly over all labels.

    Raises:
        RequestError: labels are to be smoothed where there are none.
    """
    if batch.targets is not None:
        return functional.cross_entropy(
            model.logits(batch.inputs), batch.targets, label_smoothing=label_smoothing
        )
    if label_smoothing:
        raise RequestError(Problem("texts have no labels to smooth", "set `label_smoothing: 0`"))
    return Mean(*summed_nll(model, batch.inputs))
