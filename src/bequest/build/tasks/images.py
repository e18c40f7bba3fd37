"""Pictures in one folder per class."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.paths import FOLDER_SIDES, located, missing
from bequest.build.settings import ImageSettings
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.build.classification import Classification
    from bequest.build.picture_folders import Survey


class Images(ImageSettings):
    """Pictures in one folder per class, or such folders in `train`, `validation` and `test`.

    Read are all formats that Pillow decodes whole by itself, also in folders within a class, and
    grey of 16 bits; other files are counted in a note. Transparent parts become white; of several
    frames or pages the first is taken.
    """

    kind: ClassVar[str] = "image"

    path: str = Field(min_length=1, description="The folder that holds the folders.")

    def check(self) -> list[Problem]:
        """Shares, the folder, and that it holds pictures of at least two classes."""
        try:
            self._survey()
        except RequestError as error:
            return error.problems
        return []

    def load(self, name: str) -> Classification:
        """Pictures [channels, size, size]; the labels are the folders' names.

        They are uint8, or float32 in [0, 1] where some have more than 8 bits.

        Raises:
            RequestError: there are no pictures, or some can't be read.
        """
        import numpy as np

        from bequest.build.classification import label_space
        from bequest.build.pictures import picture_task, read_pictures
        from bequest.build.splitting import Pool

        found = self._survey()
        labels = label_space(label for _, label, _ in found.pictures)
        position = {label: index for index, label in enumerate(labels)}
        targets = np.array([position[label] for _, label, _ in found.pictures], np.int64)
        side = np.array([FOLDER_SIDES.index(side) for side, _, _ in found.pictures], np.int8)
        ids, pictures, notes = read_pictures([file for _, _, file in found.pictures], self)
        pool = Pool(ids, targets, side)
        return picture_task(self, name, labels, pool, pictures, [*found.notes(), *notes])

    def _survey(self) -> Survey:
        """What lies in the folder.

        Raises:
            RequestError: the shares, or the folder, are wrong.
        """
        from bequest.build.picture_folders import survey

        problems, place = super().check(), located(self.path)
        if not place.exists():
            raise RequestError([*problems, missing(self.path)])
        if not place.is_dir():
            what = f"`{self.path}` is not a folder"
            raise RequestError([*problems, Problem(what, field=("path",))])
        try:
            found = survey(place)
        except RequestError as error:
            raise RequestError([*problems, *error.problems]) from error
        if problems := [*problems, *found.problems()]:
            raise RequestError(problems)
        return found
