"""What a model learns from samples by themselves, whatever it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bequest.build.likelihood import summed_nll
from bequest.core.errors import Problem, RequestError
from bequest.lazy import functional
from bequest.transfer.terms import Mean

if TYPE_CHECKING:
    import torch

    from bequest.core.live import Batch
    from bequest.transfer.terms import Value

LEARNS = ("logits", "logprob", "predict")  # what a model must answer to learn so: one of these


def own_loss(model: Any, batch: Batch, label_smoothing: float = 0.0) -> Value:
    """Cross-entropy with the labels, or of each token of texts given those before, in nats; of
    numbers the squared error, in squared standard deviations of the training targets.

    A mean over samples, or over all tokens of the batch. label_smoothing: share of each label that
    is spread evenly over all labels.

    Raises:
        RequestError: labels are to be smoothed where there are none.
    """
    if batch.values is not None:
        return squared_error(model, batch)
    if batch.targets is not None:
        return functional.cross_entropy(
            model.logits(batch.inputs), batch.targets, label_smoothing=label_smoothing
        )
    if label_smoothing:
        raise RequestError(Problem("texts have no labels to smooth", "set `label_smoothing: 0`"))
    return Mean(*summed_nll(model, batch.inputs))


def squared_error(model: Any, batch: Batch) -> torch.Tensor:
    """Mean over the batch of ((prediction − value) / deviation)², float32.

    The deviation is the model's, as it learns in standard units; 1 where it has none.
    """
    away = (model.predict(batch.inputs) - batch.values) / getattr(model, "deviation", 1.0)
    squared: torch.Tensor = away.square().mean()
    return squared.float()
