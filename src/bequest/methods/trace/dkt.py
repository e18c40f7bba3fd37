"""DKT: the first network for knowledge tracing, and the baseline of all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bequest.build.tracer import KIND, Tracer, histories_only, read_out
from bequest.core.parts import ModelSpec
from bequest.lazy import functional, torch
from bequest.methods.trace._tracing import TraceMethod

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bequest.build.trace_histories import Steps


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


class DktNetwork(ModelSpec):
    """An LSTM over a student's answers (Piech et al. 2015, Deep Knowledge Tracing)."""

    answers: ClassVar[Collection[str]] = frozenset({"trace"})
    takes: ClassVar[Collection[str]] = frozenset({KIND})

    width: int = Field(200, ge=1, le=8192, description="Width of embeddings and of the state.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Share of the state dropped in training.")

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> DktTracer:
        """New weights for the concepts `labels`.

        Raises:
            RequestError: the inputs are not histories of answers.
        """
        histories_only("dkt", kind, labels)
        nn = torch.nn
        layers = {
            "embedding": nn.Embedding(2 * len(labels), self.width),
            "lstm": nn.LSTM(self.width, self.width, batch_first=True),
            "dropout": nn.Dropout(self.dropout),
            "out": nn.Linear(self.width, len(labels)),
        }
        return DktTracer(nn.ModuleDict(layers), labels, "dkt")


class DktTracer(Tracer):
    """See `DktNetwork`."""

    def asked(self, steps: Steps) -> torch.Tensor:
        """Log-odds of each predicted step, from the state before it: [predicted]."""
        layers = self.layers
        codes = steps.codes(len(self.labels))
        hidden, _ = layers["lstm"](functional.embedding(codes, layers["embedding"].weight))
        states = layers["dropout"](steps.states(hidden))
        return read_out(states, layers["out"], steps.concept.flatten()[steps.asked])
