"""Metrics of tasks learned one after another, with intervals, and how a gate rule names them.

R[i, j] is the primary metric of the i-th row of a sequence on the task that the j-th learned.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bequest.core.errors import Problem, RequestError
from bequest.measure.address import find_row
from bequest.measure.contrasts import find_metric
from bequest.measure.grid import Grid, read
from bequest.measure.intervals import Estimate, interval, mean, scatter
from bequest.measure.learned import JOINT, SINGLE, learned_in
from bequest.measure.missing import MissingScore, NoNumber, check
from bequest.measure.rows import GIVEN, MAIN
from bequest.measure.sequence_metrics import SequenceMetric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bequest.measure.learned import Learned
    from bequest.measure.matrix import Matrix
    from bequest.measure.metric import Metric


class TaskSequence:
    """The rows of one model that learned tasks one after another; their metrics."""

    def __init__(self, matrix: Matrix, learned: Learned) -> None:
        self.learned = learned
        self._matrix = matrix
        self._grids: dict[str, Grid] = {}

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks in the order in which they were learned."""
        return self.learned.tasks

    @property
    def title(self) -> str:
        """What people call it."""
        return self.learned.title

    @cached_property
    def score(self) -> Metric:
        """The metric that its scores are of: the primary one of all its tasks.

        Raises:
            RequestError: the tasks have different ones, or a task was learned twice.
        """
        repeated = {task for task in self.tasks if self.tasks.count(task) > 1}
        if repeated:
            what = f"{self.title} learned {', '.join(sorted(repeated))} more than once"
            fix = "metrics of a sequence need one stage with `learned` for each task"
            raise RequestError(Problem(what, fix))
        names = {self._matrix.primary(task) for task in self.tasks}
        if None in names:
            raise self._nothing_measured()
        if len(names) > 1:
            said = ", ".join(f"{task}: {self._matrix.primary(task)}" for task in self.tasks)
            raise RequestError(
                Problem(f"{self.title}: tasks are judged by different metrics", said)
            )
        return find_metric(str(names.pop()))

    def _nothing_measured(self) -> RequestError:
        """The error of a task that no stage has a number for."""
        task = next(task for task in self.tasks if self._matrix.primary(task) is None)
        why = self._matrix.cells.why_absent(self.learned.own[-1], task)
        return NoNumber(Problem(f"{self.title}: no stage has a score on {task}: {why}"))

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds under which it was measured.

        Raises:
            RequestError: it was not measured.
        """
        cells = self._matrix.cells
        found = [cells.seeds_of(row, task) for row in self.learned.own for task in self.tasks]
        if not any(found):
            raise RequestError(f"{self.title} was not measured on any task it learned")
        return max(found, key=len)

    def means(self) -> NDArray[np.float64]:
        """R[i, j], averaged over seeds; [T, T], NaN where a cell is missing."""
        return np.asarray(self._grid("scores").points.mean(axis=0))

    def value(self, metric: str, against: TaskSequence | None = None) -> Estimate:
        """A metric of the sequence, or its difference to that of another one.

        The value is the mean over seeds of the metric of each seed, its interval that of paired
        resamples of all cells.

        Raises:
            RequestError: it is undefined for so few tasks, a cell it needs is missing, or the two
                sequences can't be compared.
        """
        found = _sequence_metric(metric)
        points, resampled = self._drawn(found)
        low, high = found.bounds_for(self.score)
        if against is not None:
            self._check_comparable(against)
            other_points, other_resampled = against._drawn(found)
            points, resampled = points - other_points, resampled - other_resampled
            low, high = low - high, high - low
        return self._estimated(points, resampled, (low, high))

    def __repr__(self) -> str:
        return f"<sequence {self.title}: {', '.join(self.tasks)}>"

    def _drawn(self, metric: SequenceMetric) -> tuple[NDArray[Any], NDArray[Any]]:
        """The metric for each seed, [S], and resampled, [S, R]."""
        if metric.only and self.score.name not in metric.only:
            meant = " and ".join(metric.only)
            what = f"{metric.name} has a meaning for {meant} only, not for {self.score.name}"
            raise RequestError(what)
        try:
            # seed by seed, so that no intermediate result is larger than one seed's resamples
            with np.errstate(invalid="ignore", over="ignore"):
                each = range(len(self.seeds))
                values = [metric.value(self._arrays(metric, s, "points"), self.score) for s in each]
                drawn = [
                    metric.value(self._arrays(metric, s, "resampled"), self.score) for s in each
                ]
        except MissingScore as missing:
            raise self._explained(missing) from None
        return np.array(values), np.stack(drawn)

    def _arrays(self, metric: SequenceMetric, seed: int, kind: str) -> Mapping[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        for need in metric.needs:
            if need == "at":
                arrays[need] = np.array(self.learned.marks())
            elif need == "z":
                curves = getattr(self._grid("curves"), kind)[seed]
                check(metric.name, "curves", curves, np.ones(curves.shape[-2:], bool))
                arrays[need] = curves.mean(axis=-2)
            else:
                arrays[need] = getattr(self._grid(need), kind)[seed]
        return arrays

    def _grid(self, part: str) -> Grid:
        if part not in self._grids:
            places, shape = self.learned.places(part)
            serves = part in (GIVEN, SINGLE, JOINT)
            self._grids[part] = read(
                self._matrix, self.score, places, shape, self.seeds, one_serves_all=serves
            )
        return self._grids[part]

    def _explained(self, missing: MissingScore) -> RequestError:
        (problem,) = missing.problems
        why = self._grid(missing.array).why(missing.place)
        return type(why)(Problem(f"{problem.what}: {why}"))

    def _check_comparable(self, other: TaskSequence) -> None:
        if set(self.tasks) != set(other.tasks) or self.score is not other.score:
            raise RequestError(f"{self.title} and {other.title} learned different tasks")
        if self._samples() != other._samples():
            raise RequestError(f"{self.title} and {other.title} were measured on other samples")
        if self.seeds != other.seeds and 1 not in (len(self.seeds), len(other.seeds)):
            said = f"{list(self.seeds)} and {list(other.seeds)}"
            raise RequestError(
                f"{self.title} and {other.title} were measured with different seeds, {said}"
            )

    def _samples(self) -> set[bytes]:
        return {cell.units.tobytes() for cell in self._grid("scores").cells}

    def _estimated(
        self, points: NDArray[Any], resampled: NDArray[Any], bounds: tuple[float, float]
    ) -> Estimate:
        resampler, cells = self._matrix.resampler, self._grid("scores").cells
        units = len(np.unique(np.concatenate([cell.units for cell in cells])))
        samples = sum(cell.samples for cell in {id(c.units): c for c in cells}.values())
        value = mean(points)
        # A maximum of noisy scores lies too high, and its resamples lie as much too high again:
        # without this the interval of a forgetting that is none would seldom hold zero.
        unbiased = resampled - 2 * (resampled.mean() - value)
        guard = resampler.guard(units) if np.isfinite(bounds).all() else None
        spread = scatter(points, unbiased, units, resampler, guard)
        low, high = interval(value, spread, bounds)
        return Estimate(value, low, high, samples, units, tuple(points.tolist()))


def sequences(matrix: Matrix) -> tuple[TaskSequence, ...]:
    """Every sequence of the matrix, those of a single task among them, in the order of rows."""
    return tuple(TaskSequence(matrix, learned) for learned in learned_in(matrix.rows))


def find_sequence(matrix: Matrix, address: str | None) -> TaskSequence:
    """The sequence that a gate rule means.

    None: the only one of several tasks in line `main`, or else in any line. Otherwise a step, a
    line, a model, or whatever names a row of the sequence.

    Raises:
        RequestError: there is none, or more than one may be meant.
    """
    found = _meant(matrix, address)
    if len(found) == 1:
        return found[0]
    if not found:
        what = f"`{address}` names no stage of a sequence" if address else "no task was learned"
        raise RequestError(Problem(what, "name a step that learns tasks one after another"))
    titles = ", ".join(one.title for one in found)
    raise RequestError(
        Problem(f"there are {len(found)} sequences of tasks: {titles}", "name one step with `@`")
    )


def _meant(matrix: Matrix, address: str | None) -> list[TaskSequence]:
    every = list(matrix.sequences)
    if address is None:
        several = [one for one in every if len(one.tasks) > 1] or every
        return [one for one in several if one.learned.line == MAIN] or several
    for word in ("step", "line", "model"):
        named = [one for one in every if getattr(one.learned, word) == address]
        if named:
            return named
    row = find_row(matrix.rows, address)
    return [one for one in every if row in one.learned]


def _sequence_metric(name: str) -> SequenceMetric:
    found = find_metric(name)
    if not isinstance(found, SequenceMetric):
        raise RequestError(Problem(f"{name} belongs to a cell of the matrix, not to a sequence"))
    return found
