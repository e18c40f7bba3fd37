"""What the page is made of: the files of a finished run, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bequest.core.errors import StoreError
from bequest.measure import parquet
from bequest.measure.matrix import Matrix
from bequest.store.files import read_json
from bequest.store.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bequest.measure.intervals import Estimate
    from bequest.measure.matrix import Change
    from bequest.measure.table import Cells

PAGE = "report.html"
EXHIBITS = "exhibits/exhibits.json"


@dataclass(frozen=True)
class Curve:
    """The course of one term of the loss at one stage.

    points: by seed, (optimiser step, value); weight: of the term in the loss, as it was last.
    """

    stage: str
    term: str
    weight: float
    points: dict[int, list[tuple[float, float]]]


class Known(Matrix):
    """A matrix that computes every number once: many parts of a page show the same ones."""

    def __init__(self, cells: Cells) -> None:
        super().__init__(cells)
        self._values: dict[tuple[str, int, str, int | None], Estimate] = {}

    def value(self, metric: str, row: int, task: str = "", against: int | None = None) -> Estimate:
        """See `Matrix.value`."""
        key = metric, row, task, against
        if key not in self._values:
            self._values[key] = super().value(*key)
        return self._values[key]

    def changes(self) -> list[Change]:
        """See `Matrix.changes`."""
        return self._changes

    @cached_property
    def _changes(self) -> list[Change]:
        return super().changes()


@dataclass(frozen=True)
class Source:
    """A finished run as the page reads it.

    record: run.json; metrics: metrics.json; exhibits: exhibits.json, empty where there is none.
    """

    record: Mapping[str, Any]
    matrix: Matrix
    metrics: Mapping[str, Any]
    curves: Sequence[Curve]
    exhibits: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The recipe's title, or its name."""
        return str(self.record.get("title") or self.record["name"])


def read(path: Path) -> Source:
    """Read a run's folder; needs neither torch nor the data.

    Raises:
        RequestError: there is no run.
        StoreError: a file is missing or damaged.
    """
    folder = RunFolder(path)
    exhibits = path / EXHIBITS
    return Source(
        record=folder.read(),
        matrix=Known(parquet.read(folder.outcomes)),
        metrics=read_json(folder.metrics_json),
        curves=_curves(folder.curves),
        exhibits=read_json(exhibits) if exhibits.exists() else {},
    )


def _curves(path: Path) -> list[Curve]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return []
    try:
        lines = pq.read_table(path, use_threads=False).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path} can't be read: {error}") from error
    found: dict[tuple[str, str], Curve] = {}
    fits: dict[tuple[str, int, int], int] = {}
    for each in lines:
        key = (each["stage"], each["term"])
        curve = found.setdefault(key, Curve(*key, each["weight"], {}))
        place = each["stage"], each["seed"], each["fit"]
        fits[place] = max(fits.get(place, 0), each["step"] + 1)
        before = sum(fits.get((*place[:2], fit), 0) for fit in range(each["fit"]))
        point = (float(before + each["step"]), each["value"])
        curve.points.setdefault(each["seed"], []).append(point)
    return list(found.values())
