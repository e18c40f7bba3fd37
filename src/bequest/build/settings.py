"""Settings that several tasks share; torch- and numpy-free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from bequest.build.paths import located, not_a_file
from bequest.build.text_files import known_encoding, there_are
from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.core.parts import TaskSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from bequest.build.classification import Classification
    from bequest.build.columns import SideTable


Encoding = Annotated[
    str | None,
    AfterValidator(known_encoding),
    Field(
        description="Encoding of the files, such as `cp1252`; when left out, UTF-8, or UTF-16 "
        "where their mark says so."
    ),
]
Delimiter = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=1,
        description="What separates values; when left out, tabs in `.tsv` files, else a comma, or "
        "`;`, a tab or `|` where the header has these and no comma.",
    ),
]
Side = Annotated[int, Field(ge=1, le=4096)]
OF_LABELS = frozenset({"correct", "nll", "confidence", "predicted", "label", "log_odds", "group"})
OF_NUMBERS = frozenset({"prediction", "target", "error", "centred", "group"})


class SplitSettings(TaskSpec):
    """How samples are put on three sides; where the data brings a side, that one is taken."""

    records: ClassVar[Collection[str]] = OF_LABELS

    validation: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the samples for validation, met on average; 0 for no such split.",
    )
    test: float = Field(
        0.2, gt=0, lt=1, description="Share of the samples for the test, met on average."
    )
    split_seed: int = Field(0, ge=0, lt=2**31, description="Another seed gives other sides.")
    train_samples: int | None = Field(
        None,
        ge=1,
        description="Train on so many samples at most, about the same share of every label.",
    )

    def check(self) -> list[Problem]:
        """Shares leave something to train on."""
        if self.validation + self.test < 1:
            return []
        what = f"validation {self.validation} and test {self.test} leave nothing to train on"
        return [Problem(what, "their sum must be below 1", ("validation",))]


class FeatureSettings(SplitSettings):
    """How numbers are made ready for a model."""

    standardize: bool = Field(
        True, description="Whether features get mean 0 and deviation 1, as found in training."
    )


class ImageSettings(SplitSettings):
    """How pictures of any size become inputs of one shape."""

    size: int = Field(
        32, ge=4, le=2048, description="Side in pixels; pictures are cropped to a square first."
    )
    channels: Literal[1, 3] = Field(3, description="3 for colour, 1 for grey.")


class ColumnSettings(FeatureSettings):
    """Which columns of a table are what."""

    label: str = Field("label", min_length=1, description="Column of the labels.")
    group_column: str | None = Field(
        None, description="Column whose equal values never stand on two sides, such as a patient."
    )
    features: tuple[str, ...] | None = Field(
        None, min_length=1, description="Columns given to the model; all others when left out."
    )

    def column_problems(self, columns: Sequence[str]) -> list[Problem]:
        """Settings that name columns which the table, having `columns`, doesn't have."""
        named = [("label", self.label), ("group_column", self.group_column)]
        named += [("features", column) for column in self.features or ()]
        problems = [
            Problem(
                f"there is no column `{column}`",
                there_are(column, columns),
                (field,),
                did_you_mean(column, columns),
            )
            for field, column in named
            if column and column not in columns
        ]
        if self.label in (self.features or ()):
            problems.append(Problem("the label is among the features", field=("features",)))
        return problems

    def feature_columns(self, columns: Sequence[str]) -> list[str]:
        """Those of `columns` that are given to the model."""
        if self.features is not None:
            return list(self.features)
        return [name for name in columns if name not in (self.label, self.group_column)]


class SideFiles(SplitSettings):
    """One file, or one file per side."""

    path: str = Field(min_length=1, description="The file; the training side if others are named.")
    validation_path: str | None = Field(None, description="File of the validation side.")
    test_path: str | None = Field(None, description="File of the test side.")

    def check(self) -> list[Problem]:
        """Shares, and files that stand for two sides."""
        return [*super().check(), *self._repeated_files()]

    def _repeated_files(self) -> list[Problem]:
        seen: dict[Path, str] = {}
        problems = []
        for field, path in self.files().items():
            other = seen.setdefault(located(path).resolve(), field)
            if other != field:
                what = f"`{path}` is the file of `{other}`, too"
                fix = f"leave `{field}` out: that side is then drawn from the training file"
                problems.append(Problem(what, fix, (field,)))
        return problems

    def files(self) -> dict[str, str]:
        """The files by the setting that names them, training first."""
        named = {
            "path": self.path,
            "validation_path": self.validation_path,
            "test_path": self.test_path,
        }
        return {field: path for field, path in named.items() if path}


class TableFiles(ColumnSettings, SideFiles):
    """A table in one file, or in one file per side."""

    unlabelled: bool = Field(
        False,
        description="Whether rows without a label are kept, for methods that learn from them too.",
    )
    shape: tuple[Side, Side, Side] | None = Field(
        None,
        description="Channels, height and width, if each row is a picture, such as `[1, 28, 28]`; "
        "its pixels are the columns in the natural order of their names, or of `features`.",
    )

    def gives(self) -> str:
        """Pictures or features."""
        return "image" if self.shape else "features"

    def header(self, path: str) -> list[str]:
        """Names of the columns of a file, without reading it whole.

        Raises:
            RequestError: the file has none.
        """
        raise NotImplementedError

    def tables(self) -> tuple[list[SideTable], list[str]]:
        """The table of each side as it was read, and notes on how.

        Raises:
            RequestError: a file can't be read; says at which line, where that is known.
        """
        raise NotImplementedError

    def load(self, name: str) -> Classification:
        """Features [columns] or pictures of `shape`, labels in natural order of their names.

        Raises:
            RequestError: a file, line or column can't be used.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        from bequest.build.tabular import table_task

        tables, notes = self.tables()
        return table_task(self, name, tables, notes, unlabelled=self.unlabelled, shape=self.shape)

    def check(self) -> list[Problem]:
        """Shares, files, and the columns of their headers."""
        problems = super().check()
        for field, path in self.files().items():
            problems += not_a_file(path, field) or self._header_problems(field, path)
        return problems

    def _header_problems(self, field: str, path: str) -> list[Problem]:
        try:
            columns = self.header(path)
        except RequestError as error:
            return [problem.under(field) for problem in error.problems]
        repeated = sorted({name for name in columns if columns.count(name) > 1})
        if repeated:
            what = f"`{path}` has the column {', '.join(repeated)} more than once"
            return [Problem(what, field=(field,))]
        found = self.column_problems(columns)
        return [replace(problem, what=f"`{path}`: {problem.what}") for problem in found]
