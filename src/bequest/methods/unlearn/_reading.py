"""What a model says to right answers, whether it labels inputs or writes texts; and what it said.

What the student said before it forgets is asked once, kept in the journal and looked up by sample
id, so that no second model is held.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from bequest.core.errors import Problem, RequestError
from bequest.core.live import Batch, Split, Texts
from bequest.lazy import functional, torch
from bequest.ops.unlearning import summed
from bequest.transfer.streams import Rows
from bequest.transfer.terms import Mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from bequest.core.live import Model
    from bequest.transfer.bench import Bench

    Lookup = Callable[[Batch], torch.Tensor]


class Answers(NamedTuple):
    """How unlikely the right answers are. nll: nats, [tokens]; lengths: int64 [batch]."""

    nll: torch.Tensor
    lengths: torch.Tensor

    @property
    def sums(self) -> torch.Tensor:
        """Of each answer, over its tokens: [batch]."""
        return summed(self.nll, self.lengths)


class Scored(NamedTuple):
    """Scores at each token of the right answers.

    scores: unnormalised, [tokens, vocabulary or labels]; targets: int64 [tokens]; lengths: [batch].
    """

    scores: torch.Tensor
    targets: torch.Tensor
    lengths: torch.Tensor


def answers(model: Any, batch: Batch) -> Answers:
    """How unlikely the model finds the right answers of a batch."""
    if batch.targets is not None:
        nll = functional.cross_entropy(model.logits(batch.inputs), batch.targets, reduction="none")
        return Answers(nll, torch.ones_like(batch.targets))
    found = model.logprob(batch.inputs)
    return Answers(-found.values, found.lengths)


def scored(model: Any, batch: Batch) -> Scored:
    """All scores at the right answers of a batch.

    Raises:
        RequestError: the model only says how likely texts are.
    """
    if batch.targets is not None:
        ones = torch.ones_like(batch.targets)
        return Scored(model.logits(batch.inputs), batch.targets, ones)
    encoded = _language(model).encoded(batch.inputs)
    return Scored(model.scores(model.states(encoded)), encoded.targets, encoded.lengths)


def token_mean(values: torch.Tensor) -> Mean:
    """The mean over all tokens of a batch."""
    return Mean(values.sum(), len(values))


def nll_before(bench: Bench, rows: Rows) -> Lookup:
    """The NLL of each right answer of a batch as the student came, summed over tokens: [batch]."""
    student = bench.model("student")
    if rows.targets is None:
        return bench.recall(cast("Model", _Whole(student)), rows, "nll")
    logits = bench.recall(student, rows)

    def looked_up(batch: Batch) -> torch.Tensor:
        return functional.cross_entropy(logits(batch), batch.targets, reduction="none")

    return looked_up


def scores_before(bench: Bench, rows: Rows) -> Lookup:
    """The scores at each token of the right answers as the student came: [tokens, vocabulary].

    Of a language model its last hidden states are kept, and a copy of its output layer.
    """
    student: Any = bench.model("student")
    if rows.targets is not None:
        return bench.recall(student, rows)
    states = bench.recall(_language(student), rows, "hidden")
    head = copy.deepcopy(student.module.get_output_embeddings()).requires_grad_(False)

    def looked_up(batch: Batch) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = head(states(batch))
        return found

    return looked_up


def whole_rows(rows: Rows) -> Rows:
    """The same samples with their prompts as a part of the text; images and tables as they are."""
    split = rows.split
    if not isinstance(split.inputs, Texts):
        return rows
    joined = Split(whole(split.inputs), None, split.ids)
    return Rows(joined, rows.device, f"{rows.fingerprint} whole")


def whole(texts: Texts) -> Texts:
    """Texts with their prompts as a part of them."""
    return Texts(tuple(texts.whole(row) for row in range(len(texts))), (), texts.closed)


def whole_batch(batch: Batch) -> Batch:
    """A batch of `whole_rows`."""
    return batch._replace(inputs=whole(batch.inputs)) if batch.targets is None else batch


@dataclass(frozen=True)
class _Whole:
    """A language model asked about answers as a whole."""

    inner: Model

    @property
    def module(self) -> torch.nn.Module:
        return self.inner.module

    def nll(self, texts: Texts) -> torch.Tensor:
        found = self.inner.logprob(texts)  # type: ignore[attr-defined]
        return summed(-found.values, found.lengths)


def _language(model: Any) -> Any:
    if hasattr(model, "states"):
        return model
    what = "the model only says how likely texts are, but all its scores are needed"
    raise RequestError(Problem(what, "use a language model of transformers: `use: hf`"))
