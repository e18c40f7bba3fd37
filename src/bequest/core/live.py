"""What a live model, a live task and a batch are to the rest of the house.

Models answer and tasks ask by *protocol*: a short list of questions, each with fixed shapes.
A model that `answers` "logits" has a method `logits`, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from bequest.core.outcomes import Outcomes
    from bequest.transfer.bench import Bench

Purpose = Literal["learn", "retain", "forget", "source", "target", "probe"]
SplitName = Literal["train", "validation", "test", "unlabelled"]

PROTOCOLS: Mapping[str, str] = {
    "logits": "one unnormalised score per label for each input: [batch, labels]",
    "embed": "one vector for each input: [batch, width]",
    "predict": "one number for each input, in the unit of what is predicted: [batch]",
    "project": "one vector for each input in a space that `classify` maps to logits",
    "complete": "text continued from each prompt",
    "propose": "several answers to each prompt, of which any may be right",
    "prefer": "how well each candidate answers its query, higher is better: `Preferred`",
    "logprob": "log-probability of each token of a text given what stands before it: `Ragged`",
    "segment": "one score per label and pixel: [batch, labels, height, width]",
    "hazard": "one risk per time interval: [batch, intervals]",
    "trace": "log-odds that each answer of a student is right given those before it: `Ragged`",
    "act": "an action for an observation",
    "draw": "an image for a prompt",
}


class Batch(NamedTuple):
    """Some samples of a task.

    ids: content ids, int64 [batch]; inputs: tensor [batch, …], `Texts`, or `Histories`; targets:
    int64 [batch] or None; values: numbers to be predicted, float64 [batch], or None.
    """

    ids: torch.Tensor
    inputs: Any
    targets: Any
    values: Any = None


class Target(NamedTuple):
    """A number to be predicted. mean, deviation: of its training values, in its own unit."""

    name: str
    mean: float
    deviation: float


class Ragged(NamedTuple):
    """Numbers of several texts, token by token, one text after another: no padding anywhere.

    values: [tokens of all texts, …]; lengths: tokens of each text, int64 [batch].
    """

    values: torch.Tensor
    lengths: torch.Tensor


class Preferred(NamedTuple):
    """How well candidates answer queries, those of one query after those of another.

    values: higher is better, of equal ones the first, float64 [candidates of all queries];
    lengths: candidates of each query, int64 [queries]; calls: texts that were scored for each,
    int64 [queries].
    """

    values: NDArray[np.float64]
    lengths: NDArray[np.int64]
    calls: NDArray[np.int64]


@dataclass(frozen=True)
class Texts:
    """Texts as models take them; how they become tokens is the model's affair.

    texts: what is predicted or read, one per sample.
    prompts: what stands before each text and is not predicted itself; empty for none.
    closed: whether a text ends where it ends, so that its end is predicted too.
    roles: what each text is to an embedder, "query" or "document"; empty where that isn't said.
    """

    texts: tuple[str, ...]
    prompts: tuple[str, ...] = ()
    closed: bool = False
    roles: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """[n]."""
        return (len(self.texts),)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Any) -> Texts:
        """The texts at `rows`: a slice, or places [m]."""
        places = range(len(self))[rows] if isinstance(rows, slice) else [int(row) for row in rows]
        parts = (self.texts, self.prompts, self.roles)
        texts, prompts, roles = (
            tuple(part[row] for row in places) if part else () for part in parts
        )
        return Texts(texts, prompts, self.closed, roles)

    def whole(self, number: int) -> str:
        """A text behind its prompt."""
        return (self.prompts[number] if self.prompts else "") + self.texts[number]


class Model(Protocol):
    """Something that answers.

    module: what can be trained, copied and saved; its parameters are the model's.
    answers: the protocols it has a method for.
    labels: names of what its logits stand for, in their order; the one name of what it predicts;
        empty where it does neither.

    Two methods are optional: `for_task(name) -> Model` (masks, heads, experts) and
    `adapt(unlabelled) -> Model` (adaptation to unlabelled test inputs, a tensor [n, …]).
    """

    module: torch.nn.Module

    @property
    def answers(self) -> Collection[str]:
        """The protocols it has a method for."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its logits."""
        ...


@runtime_checkable
class Inputs(Protocol):
    """Inputs of one split: an array, `Texts`, or anything that fetches rows on demand."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, …]."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> Any: ...


@dataclass(frozen=True)
class Split:
    """One side of a task's data; all parts have one entry per sample.

    inputs: float32 (used as it is) or uint8 (divided by 255 when a batch is made), [n, …]; or
        `Texts`.
    targets: int64 indices into the task's labels, or None for unlabelled data.
    ids: content ids, int64, unique within the task.
    unit, group: what intervals resample, and names for worst-group metrics; None: the sample, none.
    values: numbers to be predicted, float64, in the unit of the user; None where none are.
    """

    inputs: Inputs
    targets: NDArray[np.int64] | None
    ids: NDArray[np.int64]
    unit: NDArray[np.int64] | None = None
    group: NDArray[np.str_] | None = None
    values: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.ids)


class Task(Protocol):
    """Data in splits, the question put to a model, and what is recorded of each answer.

    A split `unlabelled` has no targets; the same samples may be the test split, with theirs.

    kind: what the inputs are: "image" [channels, height, width], "features" [width], "text" …
    shape: shape of one input.
    labels: what its answers may be; of a task that asks for a number, the one name of the number.
    fingerprint: hex digest of content ids, labels and preprocessing.
    notes: what a user should know about the data, such as duplicates that were left out.
    """

    name: str
    purpose: Purpose
    asks: str
    kind: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    splits: Mapping[SplitName, Split]
    fingerprint: str
    notes: tuple[str, ...]

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """Put the question to `model` on the test split and record every answer."""
        ...


@runtime_checkable
class Auditing(Protocol):
    """A task whose question costs much, or trains; it is asked by `audit` in place of `record`.

    One that trains has `fit`, its `FitSettings`, the same for every model.
    """

    def audit(self, model: Model, bench: Bench) -> Outcomes:
        """Ask `model`, which stays as it is: what trains is a `bench.copy` of it.

        What trains or draws goes through the bench (`fit`, `remember`), whose only task is this
        one, so that an audit which was killed goes on where it was.
        """
        ...


@runtime_checkable
class Showing(Protocol):
    """A task that can show its test samples to people; optional."""

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The test samples of these ids in their order, each small and JSON-like, one of

        {"kind": "image", "png": base64 of a PNG of at most 64 × 64 pixels},
        {"kind": "features", "names": [...], "values": [...]},
        {"kind": "series", "values": [...]} or {"kind": "text", "text": "..."}.
        """
        ...
