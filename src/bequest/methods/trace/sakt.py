"""SAKT: attention instead of one running state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bequest.methods.trace._tracing import TraceMethod

if TYPE_CHECKING:
    from collections.abc import Mapping


class Sakt(TraceMethod):
    """Self-attentive knowledge tracing: the asked concept looks up earlier answers.

    The loss is the mean cross-entropy of all answers but each student's first; the epoch with the
    highest area under the curve on validation students is kept. The model is `use: sakt`, which
    reads histories as long as the task's `longest`.
    """

    source: ClassVar[str] = (
        "Pandey and Karypis 2019, A Self-Attentive model for Knowledge Tracing, arXiv 1907.06837"
    )
    fit_defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 30,
        "batch_size": 64,
        "optimizer": {"use": "adam", "lr": 1e-3},
    }
    network: ClassVar[str] = "sakt"
