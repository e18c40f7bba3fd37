"""One task of the matrix: its cells, and every metric of them with its interval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, isinf
from typing import TYPE_CHECKING

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.measure.intervals import Estimate, Scatter, interval, mean, p_value, scatter
from bequest.measure.missing import NoNumber
from bequest.measure.panel import Cell, Drawn, Panel, panels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bequest.measure.intervals import Resampler
    from bequest.measure.metric import Metric
    from bequest.measure.table import Cells


_TOKENS = "tokens"  # numbers per token mean the same only for the same tokens


@dataclass(frozen=True)
class Measured:
    """An estimate, and the p-value of its true value being zero; see `intervals.p_value`."""

    estimate: Estimate
    p: float
    spread: Scatter
    bounds: tuple[float, float]

    def at(self, level: float) -> Estimate:
        """The estimate with its interval at another level."""
        low, high = interval(self.estimate.value, self.spread, self.bounds, level)
        return replace(self.estimate, low=low, high=high)


@dataclass(frozen=True)
class CellDraws:
    """The values of one cell seed by seed: `points` [S], resampled [S, R]; and what was resampled.

    units: ids of the units, sorted; samples: how many there are.
    """

    seeds: tuple[int, ...]
    points: NDArray[np.float64]
    resampled: NDArray[np.float32]
    units: NDArray[np.int64]
    samples: int


class Sheet:
    """The column of the matrix that belongs to `task`."""

    def __init__(self, cells: Cells, task: str, resampler: Resampler) -> None:
        self.task = task
        self._cells = cells
        self._resampler = resampler
        own = {
            (row, seed): outcomes
            for (row, name, seed), outcomes in cells.outcomes.items()
            if name == task
        }
        self._panels = panels(own, task)
        self._undefined: dict[tuple[str, int], str] = {}

    def why_not(self, metric: Metric, row: int) -> str:
        """Why the metric of that row can't be had; empty where it can."""
        own = self._own(row)
        if not own:
            return self._cells.why_absent(row, self.task)
        panel = self._panel(own)
        if panel is None:
            return "its seeds were not measured on the same samples"
        lacking = {name for cell in own for name in panel.lacking(metric, cell)}
        if lacking:
            said = f"it does not record {', '.join(sorted(lacking))}"
            return f"{said}; {metric.recorded}" if metric.recorded else said
        return self.why_undefined(metric, row)

    def why_undefined(self, metric: Metric, row: int) -> str:
        """Why a score whose columns were recorded is not finite; empty where it is."""
        panel = self._panel(self._own(row))
        if panel is None or metric.kind != "score" or not self._asked(metric, row):
            return ""
        key = metric.name, row
        if key not in self._undefined:
            one = self._nothing_to_tell(metric, panel, self._own(row))
            self._undefined[key] = one or self._not_finite(metric, panel, row)
        return self._undefined[key]

    def _not_finite(self, metric: Metric, panel: Panel, row: int) -> str:
        points = [one.point for one in self._scores(metric, panel, row)]
        if all(map(isfinite, points)):
            return ""
        plain = "it is infinite" if any(map(isinf, points)) else "it is undefined"
        found = (panel.not_finite(name, cell) for name in metric.needs for cell in self._own(row))
        return next(filter(None, found), f"{plain} for these samples")

    @staticmethod
    def _nothing_to_tell(metric: Metric, panel: Panel, own: Sequence[Cell]) -> str:
        """Why a metric that compares the values of a column can't be had: there is but one."""
        if not metric.rarest or metric.alike or panel.rarest(metric.rarest, own)[1] > 1:
            return ""
        return f"all its samples have the same {metric.rarest}"

    def why_not_paired(self, metric: Metric, row: int, against: int) -> str:
        """Why two measured rows can't be compared by the metric; empty where they can."""
        one, other = self._panel(self._own(row)), self._panel(self._own(against))
        if one is None or other is None:
            return "one of the rows was not measured on the same samples for all seeds"
        if one is not other:
            missing = one.unmatched(other) + other.unmatched(one)
            return (
                f"the rows were not measured on the same samples: {missing} of "
                f"{one.samples} and {other.samples} don't match"
                if missing
                else "the rows' samples have different units, or a different number of draws"
            )
        if not self._pairs(row, against):
            mine, its = (self._cells.seeds_of(i, self.task) for i in (row, against))
            return f"the rows were measured with different seeds, {list(mine)} and {list(its)}"
        if _TOKENS in metric.needs and not all(
            one.alike(_TOKENS, *pair) for pair in self._pairs(row, against)
        ):
            return "the models read the texts as other tokens; compare them by bits_per_byte"
        return ""

    def prepare(self, metric: Metric, pairs: Sequence[tuple[int, int]]) -> None:
        """Compute a contrast for many comparable (row, against) in one go."""
        for panel in self._panels:
            members = [
                member
                for row, against in pairs
                for member in self._pairs(row, against)
                if member[0] in panel
            ]
            panel.prepare(metric, members, self._resampler)

    def measure(self, metric: Metric, row: int, against: int | None) -> Measured:
        """The metric of a row, or its contrast with or difference to the row `against`.

        Raises:
            RequestError: it can't be had; says why.
        """
        panel = self._panel(self._own(row))
        if panel is None or self.why_not(metric, row):
            raise self._refused(metric, row, self.why_not(metric, row))
        guard = self._guard(metric, panel, row)
        if against is None:
            drawn = self._scores(metric, panel, row)
            return self._estimated(panel, drawn, metric.bounds, guard)
        why = self.why_not(metric, against)
        if why:
            raise self._refused(metric, against, why)
        if why := self.why_not_paired(metric, row, against):
            raise RequestError(self._problem(metric, row, why))
        drawn = self._compared(metric, panel, self._pairs(row, against))
        bounds = metric.bounds if metric.kind == "contrast" else metric.difference_bounds
        return self._estimated(panel, drawn, bounds, guard)

    def draws(self, metric: Metric, row: int) -> CellDraws:
        """What the interval of a score is made of, for metrics over many cells.

        Raises:
            RequestError: it can't be had; says why.
        """
        panel = self._panel(self._own(row))
        if panel is None or self.why_not(metric, row):
            raise self._refused(metric, row, self.why_not(metric, row))
        drawn = self._scores(metric, panel, row)
        return CellDraws(
            self._cells.seeds_of(row, self.task),
            np.array([one.point for one in drawn]),
            np.stack([one.resampled for one in drawn]),
            panel.unit_ids,
            panel.samples,
        )

    def _scores(self, metric: Metric, panel: Panel, row: int) -> list[Drawn]:
        # all rows at once: one product for the whole task costs little more than one column of it
        everything = [(cell,) for cell in panel.serving(metric)]
        panel.prepare(metric, everything, self._resampler)
        return [panel.get(metric, (cell,), self._resampler) for cell in self._own(row)]

    def _compared(
        self, metric: Metric, panel: Panel, pairs: Sequence[tuple[Cell, Cell]]
    ) -> list[Drawn]:
        if metric.kind == "contrast":
            panel.prepare(metric, pairs, self._resampler)
            return [panel.get(metric, pair, self._resampler) for pair in pairs]
        everything = [(cell,) for cell in panel.serving(metric)]
        panel.prepare(metric, everything, self._resampler)
        return [panel.difference(metric, *pair, self._resampler) for pair in pairs]

    def _guard(self, metric: Metric, panel: Panel, row: int) -> NDArray[np.float64] | None:
        """What one unit more would weigh in a bounded metric; None where that can't be said."""
        if not np.isfinite(metric.bounds).all():
            return None
        if metric.per_sample is not None or metric.of_units:
            return self._resampler.guard(panel.units)
        if not metric.rarest:
            return None
        units, values = panel.rarest(metric.rarest, self._own(row))
        return self._resampler.guard(units) / (values if metric.alike else 1)

    def _estimated(
        self,
        panel: Panel,
        drawn: Sequence[Drawn],
        bounds: tuple[float, float],
        guard: NDArray[np.float64] | None,
    ) -> Measured:
        points = np.array([one.point for one in drawn])
        draws = np.stack([one.resampled for one in drawn])
        spread = scatter(points, draws, panel.units, self._resampler, guard)
        value = mean(points)
        low, high = interval(value, spread, bounds)
        seeds = tuple(points.tolist())
        estimate = Estimate(value, low, high, panel.samples, panel.units, seeds)
        return Measured(estimate, p_value(value, spread, bounds), spread, bounds)

    def _own(self, row: int) -> list[Cell]:
        return [(row, seed) for seed in self._cells.seeds_of(row, self.task)]

    def _panel(self, own: Sequence[Cell]) -> Panel | None:
        whole = (panel for panel in self._panels if all(cell in panel for cell in own))
        return next(whole, None) if own else None

    def _pairs(self, row: int, against: int) -> list[tuple[Cell, Cell]]:
        """(before, after) for each seed; a reference of a single seed serves all seeds."""
        before, after = self._own(against), self._own(row)
        if len(before) == 1:
            return [(before[0], cell) for cell in after]
        same = [seed for _, seed in before] == [seed for _, seed in after]
        return list(zip(before, after, strict=True)) if same else []

    def _refused(self, metric: Metric, row: int, why: str) -> RequestError:
        problem = self._problem(metric, row, why)
        return NoNumber(problem) if self._asked(metric, row) else RequestError(problem)

    def _problem(self, metric: Metric, row: int, why: str) -> Problem:
        title = self._cells.rows[row].title
        return Problem(f"{metric.name}({self.task}) @ {title} can't be had: {why}")

    def _asked(self, metric: Metric, row: int) -> bool:
        """Whether the row was to have the metric: a reason is known, or its columns are there."""
        own = self._own(row)
        panel = self._panel(own)
        if panel is None:
            return (row, self.task) in self._cells.absent
        return not any(panel.lacking(metric, cell) for cell in own)
