"""Many cells of the matrix as arrays, so that a metric of them all keeps what is paired paired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bequest.core.errors import RequestError
from bequest.measure.missing import NoNumber

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bequest.measure.matrix import Matrix
    from bequest.measure.metric import Metric
    from bequest.measure.sheet import CellDraws


@dataclass(frozen=True)
class Place:
    """A cell to read: row and task; or, where there is no row, why not."""

    task: str
    row: int | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Grid:
    """Cells of one score, seed by seed; NaN where a cell can't be had.

    points: [S, *shape]; resampled: [S, R, *shape], where cells of the same units share resamples
    and others have their own; why_not: why a cell can't be had, flat; cells: those that were read;
    no_number: places, flat, of cells that were asked for and have no number.
    """

    points: NDArray[np.float64]
    resampled: NDArray[np.float32]
    why_not: tuple[str, ...]
    cells: tuple[CellDraws, ...]
    no_number: frozenset[int] = frozenset()

    def why(self, place: tuple[int, ...]) -> RequestError:
        """Why the cell at these indices can't be had: `NoNumber` where it was asked for."""
        flat = int(np.ravel_multi_index(place, self.points.shape[1:]))
        kind = NoNumber if flat in self.no_number else RequestError
        return kind(self.why_not[flat] or "it is not a number")


def read(
    matrix: Matrix,
    score: Metric,
    places: Sequence[Place],
    shape: tuple[int, ...],
    seeds: Sequence[int],
    *,
    one_serves_all: bool = False,
) -> Grid:
    """The cells at `places`, laid out in `shape`.

    one_serves_all: a cell measured under a single seed serves all seeds.
    """
    resampler = matrix.resampler
    points = np.full((len(seeds), len(places)), np.nan)
    resampled = np.full((len(seeds), resampler.resamples, len(places)), np.nan, np.float32)
    reasons, cells, no_number = [""] * len(places), [], set[int]()
    orders: dict[bytes, NDArray[np.intp]] = {}
    for i, place in enumerate(places):
        try:
            if place.row is None:
                raise RequestError(place.why_not)
            cell = matrix.draws(score.name, place.row, place.task)
            serves = one_serves_all and len(cell.seeds) == 1
            if cell.seeds != tuple(seeds) and not serves:
                raise RequestError(f"it was measured with other seeds, {list(cell.seeds)}")
        except RequestError as error:
            reasons[i] = str(error)
            no_number |= {i} if isinstance(error, NoNumber) else set()
            continue
        key = cell.units.tobytes()
        if key not in orders:
            orders[key] = resampler.order(cell.units)
        points[:, i] = cell.points
        resampled[:, :, i] = cell.resampled[:, orders[key]]
        cells.append(cell)
    return Grid(
        points.reshape(len(seeds), *shape),
        resampled.reshape(*resampled.shape[:2], *shape),
        tuple(reasons),
        tuple(cells),
        frozenset(no_number),
    )
