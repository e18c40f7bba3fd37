"""The transfer matrix: what every stage knows about every task, and how sure that is.

Metrics over many cells (backward transfer, forgetting …) belong to sequences of tasks: see
`Matrix.sequences`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.measure.contrasts import METRICS, find_metric
from bequest.measure.export import as_json
from bequest.measure.intervals import Estimate, Resampler, holm
from bequest.measure.metrics import SCORES
from bequest.measure.rows import comparisons
from bequest.measure.sequences import TaskSequence, sequences
from bequest.measure.sheet import CellDraws, Measured, Sheet
from bequest.measure.show import as_frame, as_html, as_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from bequest.measure.metric import Metric
    from bequest.measure.rows import Row
    from bequest.measure.table import Cells

Told = Literal["surely better", "surely worse", "can't be told"]
SURE = 0.05


@dataclass(frozen=True)
class Change:
    """How a row differs from the state of its model before it, on one task.

    difference: of the task's primary metric, with the interval that was judged: at the level that
        Holm's correction leaves to this comparison. p: two-sided, adjusted over all changes.
    """

    row: int
    reference: int
    task: str
    metric: str
    difference: Estimate
    p: float
    verdict: Told


class Matrix:
    """Rows (stages) by tasks of outcomes, and every metric of them with its interval.

    judged_by: for each task the scores that the gate's rules ask for.
    """

    def __init__(
        self,
        cells: Cells,
        resampler: Resampler | None = None,
        judged_by: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.cells = cells
        self.resampler = resampler or Resampler()
        self.judged_by = judged_by or {}
        self._sheets: dict[str, Sheet] = {}

    @property
    def rows(self) -> tuple[Row, ...]:
        """The stages; a row's index is its position."""
        return self.cells.rows

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return self.cells.tasks

    def value(self, metric: str, row: int, task: str = "", against: int | None = None) -> Estimate:
        """A metric of one cell with its interval.

        A contrast compares with the row `against`; so does a score or a cost, as the difference
        to that row. A cost has no task and no interval.

        Raises:
            RequestError: the cell was not measured, does not record what the metric reads, or
                the two rows were not measured on the same samples and seeds.
        """
        found = find_metric(metric)
        if found.kind == "sequence":
            fix = "ask one of `sequences` for it"
            raise RequestError(Problem(f"{metric} belongs to a sequence of tasks", fix))
        if found.kind == "cost":
            return self._cost_of(found, row, against)
        if found.kind == "contrast" and against is None:
            raise RequestError(Problem(f"{metric} compares two rows", "say which one with"))
        return self._sheet(task).measure(found, row, against).estimate

    def has(self, metric: str, row: int, task: str, against: int | None = None) -> bool:
        """Whether `value` gives a number rather than raising, for a score or a contrast."""
        sheet, found = self._sheet(task), find_metric(metric)
        rows = (row,) if against is None else (row, against)
        if any(sheet.why_not(found, each) for each in rows):
            return False
        return against is None or not sheet.why_not_paired(found, row, against)

    def why_undefined(self, metric: str, row: int, task: str) -> str:
        """Why a score whose columns were recorded is no finite number; empty where it is one."""
        return self._sheet(task).why_undefined(find_metric(metric), row)

    def primary(self, task: str) -> str | None:
        """The metric a task is judged by at first sight, or None where nothing was measured.

        The first score that the task has, unless the gate asks for others only.
        """
        names = [metric.name for metric in SCORES]
        found = next(filter(partial(self._anywhere, task), names), None)
        asked = [name for name in self.judged_by.get(task, ()) if self._anywhere(task, name)]
        return found if found in asked or not asked else asked[0]

    def _anywhere(self, task: str, metric: str) -> bool:
        return any(self.has(metric, row, task) for row in range(len(self.rows)))

    @cached_property
    def shown(self) -> Mapping[str, str]:
        """The tasks to show, each with a heading: of tasks with the same samples and answers the
        first stands for all, and its heading names them.
        """
        groups: list[list[str]] = []
        for task in self.tasks:
            own = (group for group in groups if self._same(group[0], task))
            group = next(own, None)
            if group is None:
                groups.append([task])
            else:
                group.append(task)
        return {group[0]: ", ".join(group) for group in groups}

    def _same(self, one: str, other: str) -> bool:
        mine, its = (
            {(row, seed): cell for (row, name, seed), cell in self.cells.outcomes.items()
             if name == task} for task in (one, other)
        )  # fmt: skip
        return (
            bool(mine)
            and mine.keys() == its.keys()
            and all(mine[place].same(its[place]) for place in mine)
        )

    @cached_property
    def sequences(self) -> tuple[TaskSequence, ...]:
        """Where tasks were learned one after another; those of a single task too."""
        return sequences(self)

    def draws(self, metric: str, row: int, task: str) -> CellDraws:
        """A score seed by seed and resample by resample; errors as for `value`."""
        return self._sheet(task).draws(find_metric(metric), row)

    def comparisons(self) -> list[tuple[int, int]]:
        """The pairs of rows that are compared by default; see `rows.comparisons`."""
        return comparisons(self.rows)

    def prepare(self, metric: str, task: str, pairs: Sequence[tuple[int, int]]) -> None:
        """Compute a contrast for many (row, against) that `has`, much faster than one by one."""
        self._sheet(task).prepare(find_metric(metric), pairs)

    def changes(self) -> list[Change]:
        """What each row changed on each task, as far as it can be told from the samples.

        All changes of the matrix are one family: where nothing changed, the chance of even one
        "surely" is at most 5 %.
        """
        wanted = [
            (row, other, task, metric)
            for task in self.shown
            if (metric := self.primary(task))
            for row, other in self.comparisons()
            if self.has(metric, row, task, other)
        ]
        measured = [
            self._sheet(task).measure(METRICS[metric], row, other)
            for row, other, task, metric in wanted
        ]
        p_values = holm([one.p for one in measured])
        return [
            Change(*which, _judged(one, p), p, _told(METRICS[which[3]], one.estimate.value, p))
            for which, one, p in zip(wanted, measured, p_values, strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything `metrics.json` holds; the same for the same outcomes, to the last bit."""
        return as_json(self)

    def to_pandas(self) -> pd.DataFrame:
        """Every score of every cell as a DataFrame, one line each.

        Columns: step, stage, model, line, task, metric, value, low, high (of the 95 % interval),
        samples, and absent (why there is no value).
        """
        return as_frame(self)

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def _sheet(self, task: str) -> Sheet:
        if task not in self.tasks:
            known = f"tasks are {', '.join(self.tasks)}"
            meant = did_you_mean(task, self.tasks)
            raise RequestError(Problem(f"unknown task `{task}`", known, meant=meant))
        if task not in self._sheets:
            self._sheets[task] = Sheet(self.cells, task, self.resampler)
        return self._sheets[task]

    def _cost_of(self, metric: Metric, row: int, against: int | None) -> Estimate:
        value = self._recorded(metric, row)
        if against is not None:
            value -= self._recorded(metric, against)
        return Estimate(value, value, value, n=0, units=0)

    def _recorded(self, metric: Metric, row: int) -> float:
        costs = self.cells.costs.get(row, {})
        if metric.name not in costs:
            title = self.rows[row].title
            raise RequestError(Problem(f"{metric.name} @ {title} was not measured"))
        return float(costs[metric.name])


def _judged(one: Measured, adjusted: float) -> Estimate:
    """The estimate with the interval that leaves zero out where the adjusted p-value is small."""
    return one.at(1 - SURE * one.p / adjusted) if adjusted > 0 else one.estimate


def _told(metric: Metric, difference: float, p: float) -> Told:
    if p > SURE:
        return "can't be told"
    return "surely better" if (difference > 0) == (metric.better == "higher") else "surely worse"
