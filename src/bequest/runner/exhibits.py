"""The few samples that the page shows: those whose answers flipped, and the surest mistakes.

They are chosen where the tasks are at hand, so that the page needs neither torch nor the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.live import Showing
from bequest.measure.rows import GIVEN, MAIN
from bequest.runner.came_back import came_back
from bequest.runner.largest_errors import largest_errors
from bequest.runner.mastery import mastery
from bequest.runner.transcripts import chosen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.core.live import Task
    from bequest.core.outcomes import Outcomes
    from bequest.measure.matrix import Matrix

MOST_SAMPLES = 60
MOST_FLIPS = 12  # of either kind in one comparison
MOST_MISTAKES = 4  # of one task
_AT_ONCE = 10  # lists that share the room: more of them would show a sample or two each
_LONGEST_TEXT = 600
_NEEDED = {"correct", "predicted", "label", "confidence"}


@dataclass
class _Found:
    """A sample and its answers in the first seed it was found in; `times`: in how many seeds."""

    sample: int
    label: int
    before: int | None
    after: int
    sureness: float
    times: int = 1


def exhibits(matrix: Matrix, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """What `exhibits.json` holds: at most 60 samples, and in which comparisons they flipped."""
    shelf = _Shelf()
    shown = [name for name, task in tasks.items() if isinstance(task, Showing)]
    flips = [
        _comparison(matrix, row, other, task)
        for row, other in _by_interest(matrix)
        for task in shown
        if _recorded(matrix, row, task) and _recorded(matrix, other, task)
    ]
    mistakes = [_mistakes(matrix, row, task) for row, task in _ends(matrix, shown)]
    lists = [
        (place["task"], found)
        for place in (*mistakes, *flips)
        for key in ("negative", "positive", "wrong")
        if (found := place.get(key))
    ]
    for start in range(0, len(lists), _AT_ONCE):
        for rank in range(MOST_FLIPS):
            for task, found in lists[start : start + _AT_ONCE]:
                if rank < len(found["all"]):
                    shelf.put(task, found["all"][rank], found["shown"])
    return {
        "schema": 1,
        "flips": [_named(place, tasks) for place in flips],
        "mistakes": [_named(place, tasks) for place in mistakes],
        "samples": {task: _shown(tasks[task], ids) for task, ids in shelf.ids().items()},
        "transcripts": chosen(matrix, tasks),
        "mastery": mastery(matrix, tasks),
        "came_back": came_back(matrix, tasks),
        "largest_errors": largest_errors(matrix, tasks),
    }


class _Shelf:
    """Room for so many different samples; one that is there already takes none."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], None] = {}

    def put(self, task: str, found: _Found, shown: list[_Found]) -> None:
        key = (task, found.sample)
        if key in self._kept or len(self._kept) < MOST_SAMPLES:
            self._kept[key] = None
            shown.append(found)

    def ids(self) -> dict[str, list[int]]:
        tasks = dict.fromkeys(task for task, _ in self._kept)
        return {name: [i for task, i in self._kept if task == name] for name in tasks}


def _by_interest(matrix: Matrix) -> list[tuple[int, int]]:
    """Comparisons with other lines first; with untrained models, mostly wrong, last."""

    def interest(pair: tuple[int, int]) -> tuple[bool, bool]:
        row, other = (matrix.rows[i] for i in pair)
        return other.line == GIVEN, row.after == pair[1]

    return sorted(matrix.comparisons(), key=interest)


def _ends(matrix: Matrix, tasks: Sequence[str]) -> Iterator[tuple[int, str]]:
    for task in tasks:
        own = [
            index
            for index, row in enumerate(matrix.rows)
            if row.line == MAIN and _recorded(matrix, index, task)
        ]
        if own:
            yield own[-1], task


def _recorded(matrix: Matrix, row: int, task: str) -> bool:
    outcomes = _by_seed(matrix, row, task).values()
    return bool(outcomes) and all(
        set(one.columns) >= _NEEDED and np.isfinite(one.columns["confidence"]).all()
        for one in outcomes
    )


def _by_seed(matrix: Matrix, row: int, task: str) -> dict[int, Outcomes]:
    cells = matrix.cells
    return {seed: cells.outcomes[row, task, seed] for seed in cells.seeds_of(row, task)}


def _comparison(matrix: Matrix, row: int, other: int, task: str) -> dict[str, Any]:
    before, after = _by_seed(matrix, other, task), _by_seed(matrix, row, task)
    seeds = [seed for seed in after if seed in before]
    place: dict[str, Any] = {"row": row, "against": other, "task": task, "seeds": len(seeds)}
    for kind, lost in (("negative", True), ("positive", False)):
        found: dict[int, _Found] = {}
        for seed in seeds:
            _note(found, _flipped(before[seed], after[seed], lost=lost))
        place[kind] = _ranked(found)
    return place


def _mistakes(matrix: Matrix, row: int, task: str) -> dict[str, Any]:
    found: dict[int, _Found] = {}
    answers = _by_seed(matrix, row, task)
    for one in answers.values():
        _note(found, _chosen(one, np.flatnonzero(one.columns["correct"] == 0), None))
    wrong = _ranked(found, MOST_MISTAKES)
    return {"row": row, "task": task, "seeds": len(answers), "wrong": wrong}


def _ranked(found: Mapping[int, _Found], most: int = MOST_FLIPS) -> dict[str, Any]:
    order = sorted(found.values(), key=lambda one: (-one.times, -one.sureness, one.sample))
    return {"count": len(found), "all": order[:most], "shown": []}


def _note(found: dict[int, _Found], more: Iterator[_Found]) -> None:
    for one in more:
        if one.sample in found:
            found[one.sample].times += 1
        else:
            found[one.sample] = one


def _flipped(before: Outcomes, after: Outcomes, *, lost: bool) -> Iterator[_Found]:
    _, mine, theirs = np.intersect1d(after.sample, before.sample, return_indices=True)
    was, now = before.columns["correct"][theirs] > 0, after.columns["correct"][mine] > 0
    flips = was & ~now if lost else ~was & now
    return _chosen(after, mine[flips], before.columns["predicted"][theirs[flips]])


def _chosen(
    after: Outcomes, rows: NDArray[np.intp], before: NDArray[Any] | None
) -> Iterator[_Found]:
    columns = after.columns
    earlier = [None] * len(rows) if before is None else before.tolist()
    for row, answer in zip(rows.tolist(), earlier, strict=True):
        yield _Found(
            sample=int(after.sample[row]),
            label=int(columns["label"][row]),
            before=answer,
            after=int(columns["predicted"][row]),
            sureness=float(columns["confidence"][row]),
        )


def _named(place: Mapping[str, Any], tasks: Mapping[str, Task]) -> dict[str, Any]:
    labels = tasks[place["task"]].labels
    return {
        key: {"count": value["count"], "shown": [_entry(one, labels) for one in value["shown"]]}
        if isinstance(value, dict)
        else value
        for key, value in place.items()
    }


def _entry(found: _Found, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "sample": str(found.sample),
        "label": labels[found.label],
        "before": None if found.before is None else labels[found.before],
        "after": labels[found.after],
        "confidence": round(found.sureness, 3),
        "times": found.times,
    }


def _shown(task: Task, ids: Sequence[int]) -> dict[str, Any]:
    if not isinstance(task, Showing):
        return {}
    shown = task.exhibit(np.array(ids, np.int64))
    for one in shown:
        if "text" in one:
            one["text"] = one["text"][:_LONGEST_TEXT]
    return {str(sample): one for sample, one in zip(ids, shown, strict=True)}
