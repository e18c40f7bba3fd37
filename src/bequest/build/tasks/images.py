"""Pictures in one folder per class."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.paths import FOLDER_SIDES, class_folders, located, missing
from bequest.build.settings import ImageSettings
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from bequest.build.classification import Classification


class Images(ImageSettings):
    """Pictures in one folder per class, or such folders in `train`, `validation` and `test`."""

    kind: ClassVar[str] = "image"

    path: str = Field(min_length=1, description="The folder that holds the folders.")

    def check(self) -> list[Problem]:
        """Shares, the folder, and that it holds folders of at least two classes."""
        problems, place = super().check(), located(self.path)
        if not place.exists():
            return [*problems, missing(self.path)]
        if not place.is_dir():
            return [*problems, Problem(f"`{self.path}` is not a folder", field=("path",))]
        classes = {folder.name for _, folder in class_folders(place)}
        if len(classes) < 2:
            what = f"`{self.path}` holds {len(classes)} folders of classes; at least 2 are needed"
            fix = "put pictures into `class/` or `train/class/`"
            problems.append(Problem(what, fix, ("path",)))
        return problems

    def load(self, name: str) -> Classification:
        """Pictures uint8 [channels, size, size]; the labels are the folders' names.

        Raises:
            RequestError: there are no pictures, or some can't be read.
        """
        problems = self.check()
        if problems:
            raise RequestError(problems)

        import numpy as np

        from bequest.build.classification import label_space
        from bequest.build.pictures import FORMATS, picture_task, read_pictures
        from bequest.build.splitting import Pool

        found = [
            (FOLDER_SIDES.index(side), folder.name, file)
            for side, folder in class_folders(located(self.path))
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in FORMATS and not file.name.startswith(".")
        ]
        labels = label_space(label for _, label, _ in found)
        position = {label: index for index, label in enumerate(labels)}
        targets = np.array([position[label] for _, label, _ in found], np.int64)
        side = np.array([side for side, _, _ in found], np.int8)
        ids, pictures = read_pictures([file for _, _, file in found], self)
        return picture_task(self, name, labels, Pool(ids, targets, side), pictures)
