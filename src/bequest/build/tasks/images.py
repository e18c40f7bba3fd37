"""Pictures in one folder per class."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from bequest.build.paths import located, missing
from bequest.build.settings import ImageSettings
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from bequest.build.classification import Classification

_SIDES = ("train", "validation", "test")
_ALSO = {"val": "validation", "valid": "validation"}


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
        classes = {folder.name for _, folder in _class_folders(place)}
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
            (_SIDES.index(side), folder.name, file)
            for side, folder in _class_folders(located(self.path))
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in FORMATS and not file.name.startswith(".")
        ]
        labels = label_space(label for _, label, _ in found)
        position = {label: index for index, label in enumerate(labels)}
        targets = np.array([position[label] for _, label, _ in found], np.int64)
        side = np.array([side for side, _, _ in found], np.int8)
        ids, pictures = read_pictures([file for _, _, file in found], self)
        return picture_task(self, name, labels, Pool(ids, targets, side), pictures)


def _class_folders(place: Path) -> list[tuple[str, Path]]:
    """Every folder of a class, with the side it belongs to; training where none is named."""
    sides = [(_ALSO.get(folder.name, folder.name), folder) for folder in _folders(place)]
    if "train" not in (side for side, _ in sides):
        return [("train", folder) for _, folder in sides]
    return [(side, inner) for side, folder in sides if side in _SIDES for inner in _folders(folder)]


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and path.name[0] != ".")
