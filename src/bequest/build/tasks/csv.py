"""A table in a CSV file."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bequest.build.paths import located
from bequest.build.settings import TableFiles
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.build.classification import Classification

_LONGEST_HEADER = 1 << 20


class Csv(TableFiles):
    """A CSV file with a header; one column holds labels, the others numbers or words."""

    delimiter: str = Field(",", min_length=1, max_length=1, description="What separates values.")

    def header(self, path: str) -> list[str]:
        """Names in the first line.

        Raises:
            RequestError: the file can't be read.
        """
        try:
            with located(path).open(encoding="utf-8-sig", newline="") as lines:
                first = lines.readline(_LONGEST_HEADER)
            return next(csv.reader([first], delimiter=self.delimiter), [])
        except (OSError, ValueError, csv.Error) as error:
            raise RequestError(Problem(f"`{path}` can't be read: {error}")) from error

    def load(self, name: str) -> Classification:
        """Features [columns], labels in natural order of their names.

        Raises:
            RequestError: a file, line or column can't be used.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        from bequest.build.splitting import FIELD_SIDES
        from bequest.build.tabular import table_task

        tables = {FIELD_SIDES[field]: self.read(path) for field, path in self.files().items()}
        return table_task(self, name, tables, unlabelled=self.unlabelled)

    def read(self, path: str) -> Any:
        """The table in a file; see `TableFiles.read`."""
        import pyarrow as pa
        from pyarrow import csv as reader

        words = {column: pa.string() for column in (self.label, self.group_column) if column}
        try:
            return reader.read_csv(
                located(path),
                # One thread knows the number of a line that can't be read.
                reader.ReadOptions(use_threads=False),
                reader.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
                reader.ConvertOptions(column_types=words, strings_can_be_null=True),
            )
        except (pa.ArrowInvalid, OSError) as error:
            raise RequestError(_unreadable(path, str(error))) from error


def _unreadable(path: str, said: str) -> Problem:
    row = re.search(r"Row #(\d+): ", said)
    place = f"{path}:{row[1]}" if row else path
    return Problem(f"`{place}`: {said.replace(row[0], '') if row else said}", field=("path",))
