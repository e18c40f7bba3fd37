"""SAKT: attention instead of one running state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import Field

from bequest.build.tracer import KIND, Tracer, histories_only
from bequest.core.errors import Problem, RequestError
from bequest.core.parts import ModelSpec
from bequest.lazy import functional, torch
from bequest.methods.trace._tracing import TraceMethod

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bequest.build.trace_histories import Steps


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


class SaktNetwork(ModelSpec):
    """Attention from the asked concept to earlier answers (Pandey and Karypis 2019, SAKT)."""

    answers: ClassVar[Collection[str]] = frozenset({"trace"})
    takes: ClassVar[Collection[str]] = frozenset({KIND})

    width: int = Field(256, ge=1, le=8192, description="Width of embeddings and of all layers.")
    heads: int = Field(8, ge=1, le=256, description="Attention heads; divide the width.")
    blocks: int = Field(1, ge=1, le=64, description="Blocks of attention and two dense layers.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Share of values dropped in training.")

    def check(self) -> list[Problem]:
        """Heads share the width evenly."""
        if self.width % self.heads == 0:
            return []
        what = f"{self.heads} heads can't share a width of {self.width}"
        return [Problem(what, "`heads` must divide `width`", ("heads",))]

    def build(self, shape: tuple[int, ...], kind: str, labels: tuple[str, ...]) -> SaktTracer:
        """New weights for the concepts `labels` and histories of up to `shape[0]` entries.

        Raises:
            RequestError: the inputs are not histories of answers.
        """
        histories_only("sakt", kind, labels)
        nn, width = torch.nn, self.width
        layers = {
            "answered": nn.Embedding(2 * len(labels), width),
            "asked": nn.Embedding(len(labels), width),
            "position": nn.Embedding(shape[0], width),
            "blocks": nn.ModuleList(self._block() for _ in range(self.blocks)),
            "dropout": nn.Dropout(self.dropout),
            "out": nn.Linear(width, 1),
        }
        return SaktTracer(nn.ModuleDict(layers), labels, "sakt")

    def _block(self) -> torch.nn.Module:
        nn, width, dropout = torch.nn, self.width, self.dropout
        attention = nn.MultiheadAttention(width, self.heads, dropout, batch_first=True)
        dense = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )
        return nn.ModuleDict(
            {
                "attention": attention,
                "dense": dense,
                "norm_1": nn.LayerNorm(width),
                "norm_2": nn.LayerNorm(width),
                "dropout": nn.Dropout(dropout),
            }
        )


class SaktTracer(Tracer):
    """See `SaktNetwork`."""

    def asked(self, steps: Steps) -> torch.Tensor:
        """Log-odds of each predicted step: [predicted]."""
        layers = self.layers
        asked = functional.embedding(steps.concept[:, 1:], layers["asked"].weight)
        seen = self._answered(steps)
        hidden_from = [_later(steps), _unknown(steps)]
        for number, block in enumerate(layers["blocks"]):
            seen = _attended(block, asked, seen, hidden_from[min(number, 1)])
        # Step t stands at t - 1 here, as the first is never asked.
        wide = steps.concept.shape[1]
        places = steps.asked - steps.asked // wide - 1
        states = layers["dropout"](seen.flatten(0, 1).index_select(0, places))
        return cast("torch.Tensor", layers["out"](states)[:, 0])

    def _answered(self, steps: Steps) -> torch.Tensor:
        """Each step but the last, its answer and its position: [batch, steps - 1, width]."""
        positions = self.layers["position"].weight
        codes = steps.codes(len(self.labels))
        if codes.shape[1] > len(positions):
            what = f"a history has {codes.shape[1] + 1} entries, the model reads {len(positions)}"
            raise RequestError(Problem(what, f"write `longest: {len(positions)}` in the task"))
        embedded = functional.embedding(codes, self.layers["answered"].weight)
        return cast("torch.Tensor", embedded + positions[: codes.shape[1]])


def _attended(
    block: Any, asked: torch.Tensor, seen: torch.Tensor, hidden: torch.Tensor
) -> torch.Tensor:
    """One block; the residual comes from what is asked. All [batch, steps - 1, width]."""
    attention = block["attention"]
    hidden = hidden.repeat_interleave(attention.num_heads, dim=0)
    found, _ = attention(asked, seen, seen, attn_mask=hidden, need_weights=False)
    normed = block["norm_1"](asked + block["dropout"](found))
    out = block["norm_2"](normed + block["dropout"](block["dense"](normed)))
    return cast("torch.Tensor", out)


def _later(steps: Steps) -> torch.Tensor:
    """What each asked step must not look at among the answers: [batch, steps - 1, steps - 1]."""
    places = torch.arange(steps.concept.shape[1] - 1, device=steps.concept.device)
    return _never_all(places > steps.before[:, 1:, None])


def _unknown(steps: Steps) -> torch.Tensor:
    """The same among what a block made of asked steps, of which each may look at itself."""
    size = steps.concept.shape[1] - 1
    later = torch.ones(size, size, dtype=torch.bool, device=steps.concept.device).triu(1)
    return _never_all(later | (steps.before[:, None, 1:] < 0))


def _never_all(hidden: torch.Tensor) -> torch.Tensor:
    # A step that may look at nothing would give NaN; none of these is predicted or looked at.
    hidden[..., 0] &= ~hidden.all(dim=-1)
    return hidden
