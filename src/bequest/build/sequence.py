"""Tasks made from one other task: variants of it, in an order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping  # noqa: TC003 — pydantic reads them
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from bequest.build.of_another import OfAnother
from bequest.build.settings import OF_LABELS
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.build.classification import Classification
    from bequest.build.variants import Change
    from bequest.core.live import Split, SplitName, Task

KINDS = ("image", "features")


class Derived(OfAnother):
    """A variant of another task."""

    records: ClassVar[Collection[str]] = OF_LABELS

    def check(self) -> list[Problem]:
        """What keeps the other task from being varied."""
        if self.of.get("purpose", "learn") not in ("learn", self.purpose):
            fix = "write it beside `of:`, not inside"
            return [Problem("the purpose is that of the whole", fix, ("of", "purpose"))]
        problems, spec = super().check(), self.base()
        given = spec.gives()
        if spec.asks != "logits" or (given and given not in KINDS):
            what = f"`{self.of['use']}` asks `{spec.asks}` of {given or 'anything'}"
            fix = "only tasks that ask `logits` of images or features can be varied"
            problems.append(Problem(what, fix, ("of", "use")))
        return problems

    def original(self, name: str) -> Classification:
        """The other task with its data, under this one's purpose.

        Raises:
            RequestError: it can't be loaded, or isn't made of images or features.
        """
        from bequest.build.classification import Classification

        task = self.other(name)
        if not isinstance(task, Classification) or task.kind not in KINDS:
            what = f"`{self.of['use']}` can't be varied"
            fix = "only classification of images or features can"
            raise RequestError(Problem(what, fix, ("of", "use")))
        return replace(task, purpose=self.purpose)


class Sequence(Derived):
    """Several variants of one task, in an order; each is a task of its own.

    They are called `name-1`, `name-2` … Samples that come from the same one share their `unit`.
    """

    def count(self) -> int:
        """How many there are."""
        raise NotImplementedError

    def vary(self, task: Classification, number: int) -> Mapping[SplitName, Split]:
        """The sides of the variant `number`, from 0.

        Raises:
            RequestError: the task has no such variant.
        """
        raise NotImplementedError

    def parts(self, name: str) -> tuple[str, ...]:
        """`name-1` to `name-n`."""
        return tuple(f"{name}-{number + 1}" for number in range(self.count()))

    def load_parts(self, name: str) -> dict[str, Task]:
        """Every variant, from data that are read once.

        Raises:
            RequestError: the data can't be used, or have no such variants.
        """
        task = self.original(name)
        return {
            part: variant(task, part, self.vary(task, number), self.about(number))
            for number, part in enumerate(self.parts(name))
        }

    def about(self, number: int) -> dict[str, Any]:
        """What makes the variant `number`, JSON-like; its fingerprint and ids depend on it."""
        raise NotImplementedError


class Changed(Sequence):
    """A sequence whose variants have all samples, each with changed inputs."""

    def change(self, task: Classification, number: int) -> Change:
        """What the variant `number` does to inputs."""
        raise NotImplementedError

    def vary(self, task: Classification, number: int) -> Mapping[SplitName, Split]:
        """Every side with changed inputs and content ids of its own."""
        from bequest.build.variants import changed

        change, key = self.change(task, number), _digest(self.about(number))
        return {side: changed(split, change, key) for side, split in task.splits.items()}


def variant(
    task: Classification, name: str, splits: Mapping[SplitName, Split], about: Mapping[str, Any]
) -> Classification:
    """The task with other sides; `about` says what was done, JSON-like.

    Its preparation says `changed` where samples are others than the task's, as raw inputs that are
    prepared like those of the task are then not what a model has learned from.
    """
    digest, done = _digest({"of": task.fingerprint, **about}), task.preparation
    if not set(splits["test"].ids.tolist()) <= set(task.splits["test"].ids.tolist()):
        done = {**done, "changed": True}
    return replace(task, name=name, splits=splits, fingerprint=digest, preparation=done)


def images_only(who: str, task: Classification) -> None:
    """Refuse anything but images.

    Raises:
        RequestError: the task has other inputs.
    """
    if task.kind != "image" or len(task.shape) != 3:
        what = f"`{who}` takes images, but the inputs are {task.kind} of shape {task.shape}"
        fix = "`noise` and `permutations` take features too"
        raise RequestError(Problem(what, fix, ("of", "use")))


def twice(field: str, values: tuple[float, ...]) -> list[Problem]:
    """A value that stands twice in a field, so that two variants were the same task."""
    again = [number for number, value in enumerate(values) if value in values[:number]]
    return [
        Problem(f"{values[number]:g} is there twice", "keep one", (field, number))
        for number in again
    ]


def _digest(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
