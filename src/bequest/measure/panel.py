"""Outcomes of one task laid side by side: the same samples in the same order for all models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.core.outcomes import Outcomes
    from bequest.measure.intervals import Resampler
    from bequest.measure.metric import Metric

Cell = tuple[int, int]  # (row index, seed)
Member = tuple[Cell, ...]  # the cell a score is of; the (before, after) a contrast is of


@dataclass(frozen=True)
class Drawn:
    """A metric of one member: its value, and its resampled values [R]."""

    point: float
    resampled: NDArray[np.float32]


class Panel:
    """Cells of one task that hold the same samples.

    Samples are sorted by unit, id and draw, so no number depends on the order of recording.
    """

    def __init__(self, first: Outcomes) -> None:
        self._keys, self._order = _sorted_keys(first)
        self._first = first
        self._cells: dict[Cell, tuple[Outcomes, NDArray[np.intp]]] = {}
        self._drawn: dict[tuple[str, Member], Drawn] = {}
        self._rarest: dict[tuple[str, Member], tuple[int, int]] = {}
        starts = np.flatnonzero(np.diff(self._keys[0], prepend=self._keys[0][0] - 1))
        self.unit_ids = self._keys[0, starts]
        self.counts = np.diff(starts, append=self._keys.shape[1])  # samples of each unit

    @property
    def samples(self) -> int:
        """How many samples each cell holds."""
        return len(self._order)

    @property
    def units(self) -> int:
        """How many units the samples belong to."""
        return len(self.counts)

    @property
    def unique(self) -> bool:
        """Whether no sample occurs twice."""
        keys = self._keys[:, np.lexsort(self._keys[:0:-1])]
        return not (np.diff(keys[1:]) == 0).all(axis=0).any()

    def unmatched(self, other: Panel) -> int:
        """How many samples of this panel the other one does not hold."""
        return int(np.count_nonzero(~np.isin(self._keys[1], other._keys[1])))

    def __contains__(self, cell: Cell) -> bool:
        return cell in self._cells

    def admit(self, cell: Cell, outcomes: Outcomes) -> bool:
        """Take the cell in, if it holds exactly these samples."""
        order = self._order_of(outcomes)
        if order is None:
            return False
        self._cells[cell] = outcomes, order
        return True

    def serving(self, metric: Metric) -> list[Cell]:
        """The cells that record what the metric reads."""
        return [cell for cell in self._cells if not self.lacking(metric, cell)]

    def lacking(self, metric: Metric, cell: Cell) -> list[str]:
        """Columns that the metric reads and the cell does not record."""
        outcomes, _ = self._cells[cell]
        present = {*outcomes.columns, *(() if outcomes.group is None else ("group",))}
        return [name for name in metric.needs if name not in present]

    def not_finite(self, name: str, cell: Cell) -> str:
        """How many samples have no finite number in a column; empty where all have one."""
        found = self._column(name, [cell])
        sick = int(np.count_nonzero(~np.isfinite(found))) if found.dtype.kind == "f" else 0
        return f"`{name}` is not finite for {sick} of {len(found)} samples" if sick else ""

    def prepare(self, metric: Metric, members: Iterable[Member], resampler: Resampler) -> None:
        """Compute all members that are not yet known, in one product for each block of weights."""
        known = self._drawn
        new = [one for one in dict.fromkeys(members) if (metric.name, one) not in known]
        if not new:
            return
        # position in `new` -> columns: one stack for the rows, for a contrast two
        parts = [self._stack(metric, cells) for cells in zip(*new, strict=True)]
        points = self._points(metric, parts)
        resampled = self._resampled(metric, parts, resampler)
        for i, member in enumerate(new):
            self._drawn[metric.name, member] = Drawn(float(points[i]), resampled[i])

    def get(self, metric: Metric, member: Member, resampler: Resampler) -> Drawn:
        """The metric of one member."""
        self.prepare(metric, [member], resampler)
        return self._drawn[metric.name, member]

    def difference(self, metric: Metric, before: Cell, after: Cell, resampler: Resampler) -> Drawn:
        """The metric of `after` minus that of `before`, resample by resample."""
        self.prepare(metric, [(before,), (after,)], resampler)
        old, new = (self._drawn[metric.name, (cell,)] for cell in (before, after))
        return Drawn(new.point - old.point, new.resampled - old.resampled)

    def rarest(self, name: str, cells: Sequence[Cell]) -> tuple[int, int]:
        """Units that have the rarest value of a column in any of the cells, and how many values."""
        key = name, tuple(cells)
        if key not in self._rarest:
            self._rarest[key] = self._counted(name, cells)
        return self._rarest[key]

    def _counted(self, name: str, cells: Sequence[Cell]) -> tuple[int, int]:
        unit = np.repeat(np.arange(self.units), self.counts)
        fewest, most = self.units, 1
        for values in self._column(name, cells).T:
            of_units = np.unique(np.stack([values, unit]), axis=1)[0]
            _, counts = np.unique(of_units, return_counts=True)
            fewest, most = min(fewest, int(counts.min())), max(most, len(counts))
        return fewest, most

    def alike(self, name: str, before: Cell, after: Cell) -> bool:
        """Whether two cells have the same in a column, sample by sample."""
        return np.array_equal(self._column(name, [before]), self._column(name, [after]))

    def _points(
        self, metric: Metric, parts: Sequence[Mapping[str, NDArray[Any]]]
    ) -> NDArray[np.float64]:
        if metric.per_sample is not None:
            return np.asarray(metric.per_sample(*parts).mean(axis=0, dtype=np.float64))
        return metric.compute(*parts, np.full(self.samples, 1 / self.samples))

    def _resampled(
        self, metric: Metric, parts: Sequence[Mapping[str, NDArray[Any]]], resampler: Resampler
    ) -> NDArray[np.float32]:
        with np.errstate(invalid="ignore"):  # a value that is not finite has no interval
            blocks = [metric.compute(*parts, block) for block in resampler.blocks(self.counts)]
        return np.ascontiguousarray(np.concatenate(blocks).T)  # [R, k] -> [k, R]

    def _stack(self, metric: Metric, cells: Sequence[Cell]) -> dict[str, NDArray[Any]]:
        return {name: self._column(name, cells) for name in metric.needs}

    def _column(self, name: str, cells: Sequence[Cell]) -> NDArray[Any]:
        if name == "group":
            return np.asarray(self._first.group)[self._order]
        found = [self._cells[cell] for cell in cells]
        ordered = [outcomes.columns[name][order] for outcomes, order in found]
        stacked = np.stack(ordered, axis=1)
        return stacked.astype(np.float32, copy=False) if stacked.dtype.kind == "f" else stacked

    def _order_of(self, outcomes: Outcomes) -> NDArray[np.intp] | None:
        if len(outcomes) != self.samples:
            return None
        if _recorded_alike(outcomes, self._first):
            return self._order
        keys, order = _sorted_keys(outcomes)
        return order if np.array_equal(keys, self._keys) else None


def panels(cells: Mapping[Cell, Outcomes], task: str) -> list[Panel]:
    """The cells of one task in as few panels as their samples allow; usually one.

    Raises:
        RequestError: a cell holds the same sample twice.
    """
    found: list[Panel] = []
    for cell, outcomes in cells.items():
        if not any(panel.admit(cell, outcomes) for panel in found):
            panel = Panel(outcomes)
            if not panel.unique:
                raise RequestError(Problem(f"task `{task}`: some sample ids occur twice"))
            panel.admit(cell, outcomes)
            found.append(panel)
    return found


def _recorded_alike(one: Outcomes, other: Outcomes) -> bool:
    parts = ((one.sample, other.sample), (one.unit, other.unit), (one.draw, other.draw))
    return all(
        mine is its or (mine is not None and its is not None and np.array_equal(mine, its))
        for mine, its in parts
    )


def _sorted_keys(outcomes: Outcomes) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Unit, id and draw of every sample, [3, n], sorted; and the order that sorts them."""
    draw = np.zeros(len(outcomes), np.int64) if outcomes.draw is None else outcomes.draw
    order = np.lexsort((draw, outcomes.sample, outcomes.units))
    keys = np.stack([outcomes.units, outcomes.sample, draw.astype(np.int64)])
    return keys[:, order], order
