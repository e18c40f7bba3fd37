"""Texts with labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.documents import column_problems, has_records
from bequest.build.finding import at_hand, path_problems
from bequest.build.paths import class_folders
from bequest.build.settings import Delimiter, Encoding, SideFiles
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from bequest.build.classification import Classification


class Text(SideFiles):
    """Texts of which each has a label: lines of a CSV or JSON Lines file, or one folder per label.

    Files may be compressed by gzip, bzip2 or xz. A folder holds one folder of text files per label,
    or such folders in `train`, `validation` and `test`.
    """

    kind: ClassVar[str] = "text"

    path: str = Field(
        min_length=1,
        description="The file or folder, or an asset and a part of it: `name/part`; the training "
        "side if others are named.",
    )
    text: str = Field("text", min_length=1, description="Column of the texts.")
    label: str = Field("label", min_length=1, description="Column of the labels.")
    group_column: str | None = Field(
        None, description="Column whose equal values never stand on two sides, such as an author."
    )
    delimiter: Delimiter = None
    encoding: Encoding = None

    def check(self) -> list[Problem]:
        """Shares, files, and the columns of their first lines."""
        problems = super().check()
        for field, path in self.files().items():
            problems += path_problems(path, field)
            if place := at_hand(path):
                problems += self._problems(path, place, field)
        return problems

    def load(self, name: str) -> Classification:
        """Texts as they are, labels in natural order of their names.

        Raises:
            RequestError: a file, line or column can't be used.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        from bequest.build.texts import labelled, text_task

        return text_task(self, name, labelled(self))

    def _problems(self, path: str, place: Path, field: str) -> list[Problem]:
        if place.is_dir():
            return self._folder_problems(path, place, field)
        if not has_records(str(place)):
            fix = "give a `.csv` or `.jsonl` file, or a folder with one folder per label"
            return [Problem(f"`{path}` holds no labels", fix, (field,))]
        named = {"text": self.text, "label": self.label, "group_column": self.group_column}
        return column_problems(
            str(place), named, field=field, delimiter=self.delimiter, encoding=self.encoding
        )

    def _folder_problems(self, path: str, place: Path, field: str) -> list[Problem]:
        if self.group_column:
            return [Problem("only files with columns have groups", field=("group_column",))]
        try:
            labels = {folder.name for _, folder in class_folders(place)}
        except RequestError as error:
            return [replace(problem, field=(field,)) for problem in error.problems]
        if len(labels) > 1:
            return []
        what = f"`{path}` holds {len(labels)} folders of labels; at least 2 are needed"
        return [Problem(what, "put texts into `label/` or `train/label/`", (field,))]
