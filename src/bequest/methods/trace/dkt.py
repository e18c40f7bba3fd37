"""DKT: the first network for knowledge tracing, and the baseline of all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bequest.methods.trace._tracing import TraceMethod

if TYPE_CHECKING:
    from collections.abc import Mapping


class Dkt(TraceMethod):
    """Deep knowledge tracing: an LSTM learns to predict a student's next answer.

    The loss is the mean cross-entropy of all answers but each student's first; the epoch with the
    highest area under the curve on validation students is kept. The model is `use: dkt`.
    """

    source: ClassVar[str] = "Piech et al. 2015, Deep Knowledge Tracing, arXiv 1506.05908"
    fit_defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 30,
        "batch_size": 64,
        "optimizer": {"use": "adam", "lr": 1e-3},
    }
    network: ClassVar[str] = "dkt"
