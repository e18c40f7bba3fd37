"""Whether a model's tokenizer knows the texts of the tasks, by a few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.tokens import ids_of
from bequest.core.errors import Problem
from bequest.core.live import Texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bequest.core.live import Model, Task

_FEW = 64
_MANY, _MOST = 0.1, 0.5  # shares of unknown tokens that are told, and refused


def unknown_tokens(model: Model, tasks: Iterable[Task]) -> tuple[list[str], list[Problem]]:
    """Notes for the user, and problems where most of a task's tokens are unknown to the model."""
    tokenizer = _tokenizer(model)
    notes: list[str] = []
    problems: list[Problem] = []
    for task in tasks if getattr(tokenizer, "unk_token_id", None) is not None else ():
        share = _share(task, tokenizer)
        what = f"its tokenizer does not know {share:.0%} of the tokens of task `{task.name}`"
        if share > _MOST:
            fix = "the tokenizer must be that of the weights, and made for such texts"
            problems.append(Problem(what, fix))
        elif share > _MANY:
            notes.append(what)
    return notes, problems


def _tokenizer(model: Any) -> Any:
    inner = getattr(model, "inner", None)
    return getattr(model, "tokenizer", None) or (None if inner is None else _tokenizer(inner))


def _share(task: Task, tokenizer: Any) -> float:
    """The share of unknown tokens in some texts of the test, 0 where it has none."""
    inputs = task.splits["test"].inputs
    if not isinstance(inputs, Texts) or not len(inputs):
        return 0.0
    rows = np.linspace(0, len(inputs) - 1, min(_FEW, len(inputs))).astype(int).tolist()
    ids = [token for each in ids_of([inputs.whole(r) for r in rows], tokenizer) for token in each]
    return ids.count(tokenizer.unk_token_id) / len(ids) if ids else 0.0
