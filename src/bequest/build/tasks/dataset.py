"""A data set of the Hugging Face kind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.paths import located, missing
from bequest.build.settings import ColumnSettings, ImageSettings
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.build.classification import Classification

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class Dataset(ColumnSettings, ImageSettings):
    """A Hugging Face data set of images, texts or numbers, from a local folder or a hub id.

    Its own splits are taken where it has them. No code that comes with a data set is run.
    """

    kind: ClassVar[str] = ""  # known when loaded

    path: str = Field(
        min_length=1,
        description="A folder (`save_to_disk`, or files that `load_dataset` reads), or a hub id.",
    )
    name: str | None = Field(None, description="Configuration of the data set.")
    image: str | None = Field(None, description="Column of images; found when left out.")
    text: str | None = Field(None, description="Column of texts; found when left out.")

    def check(self) -> list[Problem]:
        """Shares and the local folder; hub ids are tried when loaded."""
        place = located(self.path)
        if place.is_file():
            what = f"`{self.path}` is a file; a folder or a hub id is needed"
            return [*super().check(), Problem(what, "see `use: csv` and `use: parquet`", ("path",))]
        if place.is_dir() or _HUB_ID.fullmatch(self.path):
            return super().check()
        return [*super().check(), missing(self.path)]

    def load(self, name: str) -> Classification:
        """Images uint8 [channels, size, size], texts, or features [columns].

        Raises:
            RequestError: it can't be had, or has no usable columns.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        from bequest.build.hub import dataset_task

        return dataset_task(self, name)
