"""What models wrote: all of it in `transcripts.parquet`, and the few texts that the page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bequest.core.live import Texts
from bequest.measure.rows import GIVEN, MAIN
from bequest.store.files import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bequest.core.live import Task
    from bequest.core.outcomes import Outcomes
    from bequest.measure.matrix import Matrix

MOST_SAMPLES = 6  # of one task
MOST_STAGES = 4  # side by side
LONGEST_TEXT = 600
_JUDGED_BY = ("rouge_l_recall", "contains", "recovered", "correct")
_COLUMNS = ("row", "stage", "task", "seed", "sample", "draw", "prompt", "answer", "expected")


class _Asked(NamedTuple):
    """What a sample asks, and what should be said; empty where that isn't known."""

    prompt: str
    expected: str


class _Said(NamedTuple):
    """An answer, and how good it is where that can be said."""

    answer: str
    worth: float


def packed(texts: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Texts as the journal keeps them: one array of bytes, whatever their number and length.

    Half a surrogate pair, which no file can hold, becomes a question mark.
    """
    encoded = [text.encode("utf-8", "replace") for text in texts]
    whole = np.frombuffer(b"".join(encoded), np.uint8).copy()
    return {"bytes": whole, "lengths": np.array([len(one) for one in encoded], np.int64)}


def unpacked(held: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """The texts that `packed` took."""
    whole, ends = held["bytes"].tobytes(), np.cumsum(held["lengths"]).tolist()
    return tuple(
        whole[start:end].decode() for start, end in zip([0, *ends[:-1]], ends, strict=True)
    )


def write_transcripts(matrix: Matrix, tasks: Mapping[str, Task], path: Path) -> None:
    """Every text that a model wrote, one a line, as Parquet; no file where none wrote any.

    Raises:
        StoreError: it can't be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    asked = {name: _asked(task) for name, task in tasks.items()}
    lines = [
        dict(zip(_COLUMNS, (row, matrix.rows[row].title, task, seed, *line), strict=True))
        for (row, task, seed), one in matrix.cells.outcomes.items()
        for line in _lines(one, asked[task])
    ]
    if not lines:
        return
    numbers = {"row": pa.int32(), "seed": pa.int64(), "sample": pa.int64(), "draw": pa.int32()}
    schema = pa.schema([(name, numbers.get(name, pa.string())) for name in _COLUMNS])
    with atomic(path) as temporary:
        pq.write_table(pa.Table.from_pylist(lines, schema), temporary, compression="zstd")


def chosen(matrix: Matrix, tasks: Mapping[str, Task]) -> list[dict[str, Any]]:
    """For each task a few samples with what the most telling stages wrote, as `exhibits.json` has.

    Those come first whose answers became better or worse by the most.
    """
    return [
        _beside(matrix, name, stages, _asked(task))
        for name, task in tasks.items()
        if (stages := _stages(matrix, name))
    ]


def _lines(one: Outcomes, asked: Mapping[int, _Asked]) -> Iterator[tuple[Any, ...]]:
    draws = [0] * len(one) if one.draw is None else one.draw.tolist()
    for sample, draw, answer in zip(one.sample.tolist(), draws, one.transcript or (), strict=False):
        prompt, expected = asked.get(sample, _Asked("", ""))
        yield sample, draw, prompt, answer, expected or None


def _asked(task: Task) -> dict[int, _Asked]:
    test = task.splits["test"]
    if not isinstance(test.inputs, Texts):
        return {}
    texts = test.inputs
    prompts = texts.prompts or ("",) * len(texts)
    pairs = zip(prompts, (text.strip() for text in texts.texts), strict=True)
    return {sample: _Asked(*pair) for sample, pair in zip(test.ids.tolist(), pairs, strict=True)}


def _stages(matrix: Matrix, task: str) -> list[int]:
    """Rows of one task in which texts were written: ends of lines first, then what led there."""
    rows = matrix.rows
    having = [i for i, row in enumerate(rows) if row.checkpoint is None and _said(matrix, i, task)]
    ends = {(rows[i].of, rows[i].line): i for i in having}.values()
    lines = {MAIN: 0, GIVEN: 1}
    order = sorted(having, key=lambda i: (i not in ends, lines.get(rows[i].line, 2), i))
    return sorted(order[:MOST_STAGES])


def _said(matrix: Matrix, row: int, task: str) -> dict[int, _Said]:
    """What the stage wrote when it was first asked under its first seed, by sample."""
    seeds = matrix.cells.seeds_of(row, task)
    one = matrix.cells.outcomes[row, task, seeds[0]] if seeds else None
    if one is None or one.transcript is None:
        return {}
    judge = next((name for name in _JUDGED_BY if name in one.columns), None)
    worth = one.columns[judge].tolist() if judge else [0.0] * len(one)
    found: dict[int, _Said] = {}
    for sample, answer, value in zip(one.sample.tolist(), one.transcript, worth, strict=True):
        found.setdefault(sample, _Said(answer, value))
    return found


def _beside(
    matrix: Matrix, task: str, stages: Sequence[int], asked: Mapping[int, _Asked]
) -> dict[str, Any]:
    said = [_said(matrix, row, task) for row in stages]
    last = max((i for i in stages if matrix.rows[i].line == MAIN), default=stages[-1])
    before = _before(matrix, stages, last)
    samples = _telling(said[stages.index(before)], said[stages.index(last)])
    return {
        "task": task,
        "stages": list(stages),
        "count": len(said[0]),
        "samples": [_entry(asked.get(one, _Asked("", "")), [each.get(one) for each in said])
                    for one in samples],
    }  # fmt: skip


def _before(matrix: Matrix, stages: Sequence[int], last: int) -> int:
    """The earliest of the stages that the last goes on from; the first where there is none."""
    found, row = stages[0], matrix.rows[last].after
    while row is not None:
        found = row if row in stages else found
        row = matrix.rows[row].after
    return found


def _telling(before: Mapping[int, _Said], after: Mapping[int, _Said]) -> list[int]:
    """Samples whose answers became better and worse by the most, by turns; changed ones first."""
    both = [sample for sample in before if sample in after]

    def change(sample: int) -> tuple[float, bool]:
        old, new = before[sample], after[sample]
        return new.worth - old.worth, new.answer != old.answer

    order = sorted(both, key=change, reverse=True)
    turns = (one for pair in zip(order, reversed(order), strict=True) for one in pair)
    return list(dict.fromkeys(turns))[:MOST_SAMPLES]


def _entry(asked: _Asked, said: Sequence[_Said | None]) -> dict[str, Any]:
    return {
        "prompt": _cut(asked.prompt),
        "expected": _cut(asked.expected),
        "answers": [None if one is None else _cut(one.answer) for one in said],
    }


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …"
