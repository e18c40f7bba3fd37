"""Delivered models in use: raw inputs in, labels, texts or vectors out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.batches import by_length
from bequest.build.classification import answering, as_inputs, device_of
from bequest.build.heads import Headed
from bequest.build.model import align
from bequest.build.preparation import Asked, prepared, read_preparation
from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.core.live import Texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.core.live import Model


@dataclass(frozen=True)
class Predicted:
    """What a classifier says of some inputs, in their order.

    labels: the likeliest label of each, str [n]. probabilities: of every label, float32 [n, names].
    names: what the columns of `probabilities` stand for. notes: what a user should know of how the
    inputs were read.
    """

    labels: NDArray[np.str_]
    probabilities: NDArray[np.float32]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels.tolist())


class Delivered:
    """A live model that a step delivered, with `predict`, which prepares inputs as training did.

    Everything else is the model's own: `module`, `labels`, `answers`, `logits`, `for_task` …

    model: the live model. asked: the tasks that it was asked about, by name.
    """

    def __init__(self, model: Model, asked: Mapping[str, Asked]) -> None:
        self.model, self.asked = model, asked

    def __getattr__(self, name: str) -> Any:
        if name in ("model", "asked"):  # a copy is being made, which has neither yet
            raise AttributeError(name)
        return getattr(self.model, name)

    def predict(
        self, inputs: Any, *, task: str | None = None, batch_size: int = 64, longest: int = 64
    ) -> Predicted | list[str] | NDArray[np.floating]:
        """What the model says: `Predicted`, of a language model texts that go on from prompts, of
        an embedder vectors [n, width], of a regression numbers [n] in the unit of its target.

        inputs: a DataFrame, a mapping of columns, mappings by row (columns are found by name), or
            rows in the order of training; paths of pictures or PIL images; or texts.
        task: the task whose preparation, labels and head are meant, where they differ.
        longest: tokens that a language model writes at most.

        Raises:
            RequestError: the inputs are of another kind or lack a column, or `task` must be named.
        """
        name, asked = self._task(task)
        ready, notes = prepared(inputs, asked)
        model: Any = self.model
        if "logits" in model.answers:
            return self._labelled(name, asked, ready, batch_size, notes)
        with answering(model.module):
            if "complete" in model.answers:
                return _completed(model, ready, batch_size, longest)
            if "embed" in model.answers:
                return _joined(model.embed, model, ready, batch_size)
            if "predict" in model.answers:
                return _joined(model.predict, model, ready, batch_size)
        raise RequestError(Problem(f"a model that answers {', '.join(model.answers)} can't predict",
                                   "ask it by a task of a recipe"))  # fmt: skip

    def asked_as(self, task: str | None = None) -> Asked:
        """How the task that `predict` means asks.

        Raises:
            RequestError: `task` is not known, or must be named.
        """
        return self._task(task)[1]

    def _labelled(
        self, name: str, asked: Asked, ready: Any, batch_size: int, notes: list[str]
    ) -> Predicted:
        model: Any = self.model
        if isinstance(model, Headed):
            model = model.for_task(name) if name else model
        names = asked.labels or tuple(model.labels)
        scorer = align(model, names)
        shares = np.zeros((len(ready), len(names)), np.float32)
        with answering(scorer.module):
            for rows in _batches(ready, batch_size):
                given = as_inputs(ready[rows], device_of(scorer.module))
                shares[rows] = scorer.logits(given).float().softmax(dim=1).cpu().numpy()
        if not np.isfinite(shares).all():
            raise RequestError(Problem("the model answers NaN for some inputs", "train it anew"))
        labels = np.array(names, np.str_)[shares.argmax(axis=1)]
        return Predicted(labels, shares, names, tuple(notes))

    def _task(self, task: str | None) -> tuple[str, Asked]:
        """The task that is meant, by name, and how it asks."""
        answers = self.model.answers
        known = {name: one for name, one in self.asked.items() if one.asks in answers}
        if task is not None:
            if task not in known:
                meant = did_you_mean(task, known)
                fix = f"there are {', '.join(known) or 'none'}"
                raise RequestError(Problem(f"the model knows no task `{task}`", fix, meant=meant))
            return task, known[task]
        if not known:
            return "", self._by_kind()
        heads = self.model.heads if isinstance(self.model, Headed) else ()
        first = next(iter(known))
        alike = all(_same(one, known[first]) for one in known.values())
        if len(known) > 1 and (len(heads) > 1 or not alike):
            what = "the model's tasks have heads, labels or preparations of their own"
            fix = f"name one with `task`: {', '.join(known)}"
            raise RequestError(Problem(what, fix))
        return (heads[-1] if heads else first), known[first]

    def _by_kind(self) -> Asked:
        """How inputs of a model are taken that doesn't say how they were prepared."""
        takes_texts = getattr(self.model, "tokenizer", None) is not None
        if not takes_texts:
            what = "the model was delivered without a word on how its inputs were prepared"
            fix = "run the recipe again, or prepare them yourself and ask the model's `logits`"
            raise RequestError(Problem(what, fix))
        return Asked(next(iter(self.model.answers)), "text", (), ())


def delivered(folder: Path) -> Delivered:
    """The model in a folder that a run delivered.

    Raises:
        RequestError: the folder is damaged.
    """
    from bequest.build.models.saved import Saved

    return Delivered(Saved(path=str(folder)).restore(), read_preparation(folder))


def _same(one: Asked, other: Asked) -> bool:
    return (one.kind, one.shape, one.labels, one.done, one.changed) == (
        other.kind, other.shape, other.labels, other.done, other.changed
    )  # fmt: skip


def _batches(ready: Any, size: int) -> Iterator[Any]:
    if isinstance(ready, Texts):
        yield from by_length(ready)
        return
    for start in range(0, len(ready), size):
        yield slice(start, start + size)


def _completed(model: Any, texts: Texts, batch_size: int, longest: int) -> list[str]:
    parts = [texts.texts[at : at + batch_size] for at in range(0, len(texts), batch_size)]
    return [text for part in parts for text in model.complete(list(part), longest)]


def _joined(ask: Any, model: Any, ready: Any, batch_size: int) -> NDArray[np.floating]:
    """What the model says of all inputs, as it says it: vectors, or numbers."""
    parts = []
    for at in range(0, len(ready), batch_size):
        given = as_inputs(ready[at : at + batch_size], device_of(model.module))
        parts.append(ask(given).cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
