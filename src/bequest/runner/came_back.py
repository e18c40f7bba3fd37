"""The few facts that the page shows as come back: not given plainly, but by a way around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.build.attack.live import Attack, short
from bequest.build.attack.prompts import OWN, leading
from bequest.core.live import Texts
from bequest.measure.rows import GIVEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from bequest.core.live import Task
    from bequest.core.outcomes import Outcomes
    from bequest.measure.matrix import Matrix

MOST_FACTS = 3  # of a stage
LONGEST_TEXT = 400


def came_back(matrix: Matrix, tasks: Mapping[str, Task]) -> list[dict[str, Any]]:
    """A record for each audit and stage that gave something away, as `exhibits.json` has.

    Of the first seed and the last stage of each step.
    """
    return [
        {"task": name, "row": row, "facts": facts}
        for name, task in tasks.items()
        if isinstance(task, Attack)
        for row in _ends(matrix)
        if (facts := list(_facts(matrix, row, name, task)))
    ]


def _ends(matrix: Matrix) -> Iterator[int]:
    last = {row.step: number for number, row in enumerate(matrix.rows)
            if row.line != GIVEN and row.checkpoint is None}  # fmt: skip
    yield from last.values()


def _facts(matrix: Matrix, row: int, name: str, task: Attack) -> Iterator[dict[str, Any]]:
    seeds = matrix.cells.seeds_of(row, name)
    if not seeds:
        return
    found = matrix.cells.outcomes[row, name, seeds[0]]
    leaked = _leaked(found)
    for unit in list(dict.fromkeys(found.units[leaked].tolist()))[:MOST_FACTS]:
        yield _entry(found, task, np.flatnonzero(found.units == unit), leaked)


def _leaked(found: Outcomes) -> NDArray[np.intp]:
    """Places of replies that gave away a fact which its own question did not."""
    columns = found.columns
    plain = columns.get("plain", np.zeros_like(columns["recovered"]))
    given = np.isin(found.units, found.units[(plain & columns["recovered"]) == 1])
    return np.flatnonzero((columns["attack"] & columns["recovered"] == 1) & ~given)


def _entry(
    found: Outcomes, task: Attack, own: NDArray[np.intp], leaked: NDArray[np.intp]
) -> dict[str, Any]:
    said, texts = found.transcript or (), task.splits["test"].inputs
    place = next(int(one) for one in own if one in leaked)
    plain = [int(one) for one in own if found.columns.get("plain", [0] * len(said))[one]]
    number = task.splits["test"].ids.tolist().index(int(found.sample[place]))
    one = task.asked[number]
    assert isinstance(texts, Texts)  # noqa: S101 — an attack has no other inputs
    return {
        "question": _cut(task.facts[one.fact].question),
        "expected": _cut(task.facts[one.fact].answer),
        "plainly": _cut(said[plain[0]]) if plain else None,
        "category": one.category,
        "prompt": _cut(texts.prompts[number].replace(OWN, _own(task, one.fact, found))),
        "reply": _cut(said[place]),
        "deducible": bool(found.columns["deducible"][place]),
    }


def _own(task: Attack, fact: int, found: Outcomes) -> str:
    """What the model itself answered to the first indirect prompt of a fact."""
    first = leading(task.prompts[fact])
    for place, one in enumerate(task.asked):
        if one.fact == fact and one.category == "indirect" and one.prompt.text == first:
            return short((found.transcript or ())[place])
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …"
