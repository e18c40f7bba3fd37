"""A table with a column of numbers to be predicted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bequest.build.settings import OF_NUMBERS, Delimiter, Encoding, FeatureSettings, SideFiles
from bequest.build.tasks.csv import Csv
from bequest.build.tasks.parquet import Parquet
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Collection

    from bequest.build.regression import Regression as LiveRegression
    from bequest.build.settings import TableFiles

_PARQUET = (".parquet", ".pq")


class Regression(FeatureSettings, SideFiles):
    """A CSV or Parquet file; one column holds numbers to be predicted, the others features.

    Predictions and errors are in the unit of that column. Files whose names end in `.parquet` or
    `.pq` are read as `parquet` does, any other as `csv` does.
    """

    asks: ClassVar[str] = "predict"
    records: ClassVar[Collection[str]] = OF_NUMBERS

    target: str = Field(min_length=1, description="Column of the numbers to be predicted.")
    group_column: str | None = Field(
        None, description="Column whose equal values never stand on two sides, such as a patient."
    )
    features: tuple[str, ...] | None = Field(
        None, min_length=1, description="Columns given to the model; all others when left out."
    )
    delimiter: Delimiter = None
    encoding: Encoding = None
    decimal: Literal[".", ","] | None = Field(
        None, description="The mark before fractions; found from the numbers when left out."
    )

    def check(self) -> list[Problem]:
        """Shares, files, and the columns of their headers."""
        problems = self._form_problems()
        if self.target in (self.features or ()):
            problems.append(Problem("the target is among the features", field=("features",)))
        if self.target == self.group_column:
            problems.append(Problem("the target can't be the group too", field=("group_column",)))
        return problems or [_of_target(problem) for problem in self.table().check()]

    def load(self, name: str) -> LiveRegression:
        """Features [columns], and the target in its own unit.

        Raises:
            RequestError: a file, line or column can't be used.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        from bequest.build.targets import target_task

        table = self.table()
        return target_task(table, name, *table.tables())

    def table(self) -> TableFiles:
        """The settings of the table as `csv` or `parquet` has them, its label being the target."""
        kind: type[TableFiles] = Parquet if _is_parquet(self.path) else Csv
        own = self.model_dump(exclude={"target"}, exclude_none=True)
        fields = {name: value for name, value in own.items() if name in kind.model_fields}
        return kind(**fields, label=self.target)

    def _form_problems(self) -> list[Problem]:
        parquet, problems = _is_parquet(self.path), []
        for field in ("delimiter", "encoding", "decimal"):
            if parquet and getattr(self, field) is not None:
                what = f"a Parquet file has no {field}"
                problems.append(Problem(what, f"leave `{field}` out", (field,)))
        for field, path in self.files().items():
            if _is_parquet(path) != parquet:
                what = f"`{path}` and `{self.path}` must both be CSV or both Parquet"
                problems.append(Problem(what, "convert one of them", (field,)))
        return problems


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(_PARQUET)


def _of_target(problem: Problem) -> Problem:
    return replace(problem, field=("target",)) if problem.field == ("label",) else problem
