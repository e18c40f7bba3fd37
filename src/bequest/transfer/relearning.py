"""The audit `relearn` at work: a copy learns a part again and is asked about the rest on the way.

It is a task, and tasks are built in `build`; but it trains, and what trains lies here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.splitting import content_ids
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split
from bequest.core.outcomes import Outcomes
from bequest.recipe.schema import FitSettings, OptimizerSettings
from bequest.transfer.learning import own_loss
from bequest.transfer.randomness import kept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.tasks.audits.relearn import Relearn
    from bequest.core.live import Model, Purpose, SplitName, Task
    from bequest.transfer.bench import Bench

_SCORE_BATCH = 512
_SCORES = ("correct", "rouge_l_recall", "probability")  # the first that the task records
_SETTINGS = ("steps", "share", "lr", "batch_size", "clip_norm", "split_seed")


@dataclass(eq=False)
class Relearning:
    """A live task that relearns; see `core.live.Auditing`.

    whole: the forgotten task. splits: "train" is what is learned again, "test" the test samples of
        `whole` that are not.
    """

    name: str
    purpose: Purpose
    whole: Task
    splits: Mapping[SplitName, Split]
    steps: tuple[int, ...]
    fit: FitSettings
    fingerprint: str
    notes: tuple[str, ...]
    asks: str
    kind: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """Not without a bench: see `audit`."""
        raise TypeError("this task trains, so it is asked by `audit`")

    def audit(self, model: Model, bench: Bench) -> Outcomes:
        """How well a copy of the model knows the rest after each number of steps.

        Columns, per sample of the rest: `after_0` … (its score after so many steps, 0 to 1: whether
        it is answered right, the ROUGE-L recall of what is written, or the probability of a token),
        `relearned` (the score after that number of steps whose mean is best), `relearn_area` (mean
        score over the steps, by trapezoids). What trains is what trains in the model, or all of it
        where nothing does.
        """
        student = bench.copy(model)
        if not any(weight.requires_grad for weight in student.module.parameters()):
            student.module.requires_grad_(True)
        course = _Course(self.whole, self.splits["test"].ids, student, self.steps)

        def loss(learner: Any, batch: Any, rng: Any) -> Any:
            return {"relearned": own_loss(learner, batch)}

        train = bench.tasks()[0].train
        bench.fit(student, train, loss, keep=[course], on_step=course.look)
        test = self.splits["test"]
        return Outcomes(test.ids, course.columns(), test.unit, test.group)

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Samples of the rest, as the forgotten task shows them."""
        shown: Any = self.whole
        found: list[dict[str, Any]] = shown.exhibit(ids)
        return found


class _Course:
    """What is known of the rest after so many steps; a fit keeps it.

    Answers are asked for within the fit: copies of the model at each moment would take much more
    room. The whole task is asked, as what it knows of its samples need not lie in its splits.
    """

    def __init__(
        self, whole: Task, rest: NDArray[np.int64], model: Model, steps: Sequence[int]
    ) -> None:
        self._whole, self._rest = whole, rest.tolist()
        self._model, self._steps = model, steps
        self._found: dict[str, NDArray[np.float32]] = {}
        self.look(model, -1)

    def look(self, modules: Any, step: int) -> None:
        """Ask, if it is to be asked after this step, which counts from 0."""
        del modules
        if step + 1 in self._steps:
            with kept():
                found = self._whole.record(self._model, _SCORE_BATCH)
            row = {sample: number for number, sample in enumerate(found.sample.tolist())}
            wanted = [row[sample] for sample in self._rest]
            self._found[str(step + 1)] = scores(found)[wanted]

    def columns(self) -> dict[str, NDArray[np.float32]]:
        """Scores after each number of steps, the best of them, and their area."""
        each = [self._found[str(step)] for step in self._steps]
        best = max(each, key=lambda one: float(one.mean(dtype=np.float64)))
        named = {f"after_{step}": one for step, one in zip(self._steps, each, strict=True)}
        return {**named, "relearned": best, "relearn_area": area(self._steps, each)}

    def state_dict(self) -> dict[str, Any]:
        """All scores so far."""
        return {"found": self._found}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with these."""
        self._found = dict(state["found"])


def scores(found: Outcomes) -> NDArray[np.float32]:
    """How well each sample is known, 0 to 1, from whatever a task records, [n].

    Raises:
        RequestError: the task records nothing of the kind.
    """
    columns = found.columns
    for name in _SCORES:
        if name in columns:
            return np.asarray(columns[name], np.float32)
    if {"text_nll", "tokens"} <= columns.keys():
        tokens = np.maximum(columns["tokens"], 1)
        return np.asarray(np.exp(-columns["text_nll"] / tokens), np.float32)
    what = f"the task records {', '.join(columns)}, and no score between 0 and 1"
    raise RequestError(Problem(what, f"one of {', '.join(_SCORES)} is needed"))


def area(steps: Sequence[int], each: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Mean of scores over the steps, by trapezoids between those that were measured, [n]."""
    if len(steps) == 1:
        return each[0]
    whole = np.trapezoid(np.stack(each).astype(np.float64), steps, axis=0)
    return np.asarray(whole / (steps[-1] - steps[0]), np.float32)


def relearning(settings: Relearn, name: str, task: Task) -> Relearning:
    """The live task of learning a part of `task` again.

    Raises:
        RequestError: nothing would be learned, or nothing is left to ask for.
    """
    train, test = task.splits["train"], task.splits["test"]
    again = _drawn(train.ids, settings)
    left = np.flatnonzero(~np.isin(test.ids, train.ids[again]))
    if not len(again) or not len(left):
        what = f"of {len(train)} samples {len(again)} would be learned again, {len(left)} asked for"
        raise RequestError(Problem(what, "give more samples, or another `share`", ("share",)))
    splits: dict[SplitName, Split] = {"train": taken(train, again), "test": taken(test, left)}
    told = json.dumps([task.fingerprint, settings.model_dump(include=set(_SETTINGS))])
    return Relearning(
        name=name,
        purpose=settings.purpose,
        whole=task,
        splits=splits,
        steps=settings.steps,
        fit=_fit(settings),
        fingerprint=hashlib.sha256(told.encode()).hexdigest(),
        notes=(
            *task.notes,
            f"{len(again)} samples are learned again for {settings.steps[-1]} steps at every "
            f"stage, {len(left)} are asked for",
        ),
        asks=task.asks,
        kind=task.kind,
        shape=task.shape,
        labels=task.labels,
    )


def taken(split: Split, rows: NDArray[np.intp]) -> Split:
    """Some rows of a split."""
    return Split(
        split.inputs[rows],
        None if split.targets is None else split.targets[rows],
        split.ids[rows],
        None if split.unit is None else split.unit[rows],
        None if split.group is None else split.group[rows],
    )


def _drawn(ids: NDArray[np.int64], settings: Relearn) -> NDArray[np.intp]:
    """Rows that are learned again, whatever the order of the samples."""
    keys = content_ids(f"{settings.split_seed} {each}".encode() for each in ids.tolist())
    return np.sort(np.argsort(keys, kind="stable")[: round(settings.share * len(ids))])


def _fit(settings: Relearn) -> FitSettings:
    return FitSettings(
        steps=settings.steps[-1],
        batch_size=settings.batch_size,
        optimizer=OptimizerSettings(use="adamw", lr=settings.lr),
        clip_norm=settings.clip_norm,
    )
