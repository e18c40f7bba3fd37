"""Answers that were trained on beside answers that never were, as one live task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bequest.build.classification import fingerprint
from bequest.build.likelihood import remembered
from bequest.build.questions import Questions
from bequest.build.showing import passages_of
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Split, Texts
from bequest.core.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bequest.build.tasks.membership import Membership as Settings
    from bequest.core.live import Model, Purpose, SplitName

_SCORES = ("loss", "min_k", "min_k_plus", "zlib")


@dataclass(eq=False)
class Membership:
    """A live task that asks how unlikely answers are; see `core.live.Task`.

    member: whether each test sample was trained on, 0 or 1.
    """

    name: str
    purpose: Purpose
    splits: Mapping[SplitName, Split]
    fingerprint: str
    member: NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    asks: str = "logprob"
    kind: str = "text"
    shape: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()

    def record(self, model: Model, batch_size: int) -> Outcomes:
        """Columns: `member`, and of `likelihood.remembered` what tells members apart."""
        del batch_size
        test = self.splits["test"]
        found = remembered(model, cast("Texts", test.inputs))
        columns = {name: found[name] for name in _SCORES if name in found}
        return Outcomes(test.ids, {**columns, "member": self.member})

    def exhibit(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The questions of these ids; see `core.live.Showing`."""
        return passages_of(self.splits["test"], ids)


def membership(settings: Settings, name: str) -> Membership:
    """Both sides, members first.

    Raises:
        RequestError: one can't be loaded, asks something else, or they share a sample.
    """
    sides = [_side(settings, side, name) for side in ("members", "strangers")]
    ids = np.concatenate([side.ids for side in sides])
    if both := len(ids) - len(np.unique(ids)):
        what = f"{both} samples are members and strangers at once"
        raise RequestError(Problem(what, "strangers must never be trained on", ("strangers",)))
    found = [cast("Texts", side.inputs) for side in sides]
    texts = tuple(text for part in found for text in part.texts)
    prompts = tuple(prompt for part in found for prompt in part.prompts)
    inputs = Texts(texts, prompts, closed=True)
    splits: dict[SplitName, Split] = {
        "train": Split(inputs[:0], None, ids[:0]),
        "test": Split(inputs, None, ids),
    }
    member = np.repeat(np.array([1, 0], np.uint8), [len(side) for side in sides])
    about = {"kind": "membership", "members": int(member.sum())}
    return Membership(name, settings.purpose, splits, fingerprint((), splits, about), member)


def _side(settings: Settings, side: str, name: str) -> Split:
    try:
        task = settings.side(side).load(name)
    except RequestError as error:
        raise RequestError([problem.under(side) for problem in error.problems]) from error
    if not isinstance(task, Questions):
        what = "only questions and answers can be members or strangers"
        raise RequestError(Problem(what, "use `qa` or `authors`", (side, "use")))
    return task.splits["test"]
