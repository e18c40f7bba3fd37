"""What the page is made of: the files of a finished run, and nothing else."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

from bequest.core.errors import BequestError, StoreError
from bequest.measure import parquet
from bequest.measure.matrix import Matrix
from bequest.measure.rules import judged_by
from bequest.store.files import read_json
from bequest.store.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bequest.measure.intervals import Estimate
    from bequest.measure.matrix import Change
    from bequest.measure.table import Cells

PAGE = "report.html"
EXHIBITS = "exhibits/exhibits.json"
_CURVES = {"stage": "string", "seed": "int64", "fit": "int64", "step": "int64", "term": "string",
           "weight": "float64", "value": "float64"}  # fmt: skip
_MOST_STEPS = 2**53


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

    def __init__(self, cells: Cells, judged_by: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(cells, judged_by=judged_by)
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


@contextmanager
def drawn_from(*folders: Path) -> Iterator[None]:
    """Where a page is made of what lies in `folders`, which may have come from anywhere.

    Raises:
        StoreError: something there is not what a run leaves.
    """
    try:
        yield
    except BequestError:
        raise
    except Exception as error:
        first = str(error).partition("\n")[0][:200]
        what = f"no page can be made of {', '.join(map(str, folders))}"
        why = "a file there is damaged, or was written by another version"
        raise StoreError(f"{what}: {why} ({type(error).__name__}: {first})") from error


def read(path: Path) -> Source:
    """Read a run's folder; needs neither torch nor the data.

    Raises:
        RequestError: there is no run.
        StoreError: a file is missing or damaged.
    """
    folder = RunFolder(path)
    exhibits = path / EXHIBITS
    record = folder.read()
    asked = judged_by(record.get("recipe", {}).get("gate", []))
    return Source(
        record=record,
        matrix=Known(parquet.read(folder.outcomes), asked),
        metrics=read_json(folder.metrics_json),
        curves=_curves(folder.curves),
        exhibits=read_json(exhibits) if exhibits.exists() else {},
    )


def _is_point(each: Mapping[str, Any], lines: int) -> bool:
    if None in each.values():
        return False
    whole = all(0 <= each[name] <= _MOST_STEPS for name in ("fit", "step"))
    return whole and each["fit"] < lines and isfinite(each["weight"]) and isfinite(each["value"])


def _curves(path: Path) -> list[Curve]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return []
    try:
        table = pq.read_table(path, use_threads=False, columns=list(_CURVES))
        types = pa.schema({name: pa.type_for_alias(kind) for name, kind in _CURVES.items()})
        lines = table.cast(types).to_pylist()
        if not all(_is_point(each, len(lines)) for each in lines):
            raise ValueError("it holds points that no fit can have")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"{path} can't be read: {str(error)[:300]}") from error
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
