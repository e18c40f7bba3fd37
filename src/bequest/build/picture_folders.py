"""The pictures in folders of classes, and an account of every file that is not one."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bequest.build.decoding import endings
from bequest.build.paths import class_folders, folders, passed_over
from bequest.core.errors import Problem, RequestError

_JUNK = ("desktop.ini", "thumbs.db")  # what Windows keeps for its own use
_SHOWN = 10


@dataclass
class Survey:
    """The pictures below a folder, and what else lies there.

    pictures: side, label and file of each, in the order of their paths.
    other: files that are no pictures, by ending; outside: those outside the folders of classes.
    hidden: hidden files with the ending of a picture; lost: links to nothing, or back.
    empty: folders of classes without a picture; beside: folders that belong to no side.
    """

    place: Path
    pictures: list[tuple[str, str, Path]] = field(default_factory=list)
    other: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    lost: int = 0
    empty: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What was left out."""
        told = {
            f"{self.other.total()} files were left out, as such are not read as pictures: "
            f"{_counts(self.other)}": self.other,
            f"{self.outside.total()} files outside the folders of classes were left out: "
            f"{_counts(self.outside)}": self.outside,
            f"{self.hidden} hidden files with the ending of a picture were left out": self.hidden,
            f"{self.lost} links that lead nowhere, or back, were left out": self.lost,
            f"folders without a picture were left out: {_names(self.empty)}": self.empty,
            f"folders beside `train` were left out: {_names(self.beside)}": self.beside,
        }
        return [note for note, holds in told.items() if holds]

    def problems(self) -> list[Problem]:
        """What keeps the folder from being a task: fewer than two classes that have pictures."""
        classes = sorted({label for _, label, _ in self.pictures})
        if len(classes) > 1:
            return []
        what = f"`{self.place}` holds no picture in a folder of a class"
        if classes:
            what = f"`{self.place}` holds pictures of one class, `{classes[0]}`; a task needs two"
        seen = "; ".join(self.notes())
        fix = "put pictures into `class/` or `train/class/`" + (f" ({seen})" if seen else "")
        read = "" if classes else f"; read are {', '.join(sorted(endings()))}"
        return [Problem(what + read, fix, ("path",), self._inner())]

    def _inner(self) -> str:
        """The only folder of a class where it seems to hold the classes itself."""
        paths = [file.relative_to(self.place) for _, _, file in self.pictures]
        within = {path.parts[1] for path in paths if len(path.parts) > 2}
        whole = bool(paths) and all(len(path.parts) > 2 for path in paths)
        return str(self.place / paths[0].parts[0]) if whole and len(within) > 1 else ""

    def walk(self, folder: Path, side: str, label: str, above: frozenset[Path]) -> None:
        """Take in all files of a class, also those in folders within.

        above: the folders that this one stands in, and itself, so that no link leads in a circle.
        """
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
        for entry in entries:
            if not entry.is_dir():
                self._file(entry, side, label)
        for inner in [Path(entry.path) for entry in entries if entry.is_dir()]:
            if passed_over(inner):
                continue
            if (real := inner.resolve()) in above:
                self.lost += 1
            else:
                self.walk(inner, side, label, above | {real})

    def leave(self, folder: Path) -> None:
        """Count the files of a folder that stand outside the folders of classes."""
        for path in folder.iterdir():
            if path.is_file() and not path.name.startswith(".") and not _is_junk(path.name):
                self.outside[_ending(path.name)] += 1

    def _file(self, entry: os.DirEntry[str], side: str, label: str) -> None:
        ending = _ending(entry.name)
        if entry.name.startswith("._") or _is_junk(entry.name):
            return
        if entry.name.startswith("."):
            self.hidden += ending in endings()
        elif not entry.is_file():
            self.lost += 1
        elif ending in endings():
            self.pictures.append((side, label, Path(entry.path)))
        else:
            self.other[ending] += 1


def survey(place: Path) -> Survey:
    """All that lies in folders of classes, or in such folders of sides.

    Raises:
        RequestError: the names of folders leave open what is a side, or some can't be listed.
    """
    found = Survey(place)
    try:
        classes = class_folders(place)
        for side, folder in classes:
            before = len(found.pictures)
            found.walk(folder, side, folder.name, frozenset({folder.resolve()}))
            if len(found.pictures) == before:
                found.empty.append(str(folder.relative_to(place)))
        used = {folder.parent for _, folder in classes}
        for folder in used | {place}:
            found.leave(folder)
        used |= {folder for _, folder in classes}
        found.beside = [folder.name for folder in folders(place) if folder not in used]
    except OSError as error:
        problem = Problem(f"`{error.filename}` can't be listed: {error.strerror}", field=("path",))
        raise RequestError(problem) from error
    return found


def _ending(name: str) -> str:
    return Path(name).suffix.lower()


def _is_junk(name: str) -> bool:
    return name.lower() in _JUNK


def _counts(found: Counter[str]) -> str:
    shown = [f"{count} {ending or 'without ending'}" for ending, count in found.most_common(_SHOWN)]
    return ", ".join(shown + ["…"] * (len(found) > _SHOWN))


def _names(found: list[str]) -> str:
    return ", ".join([f"`{name}`" for name in found[:_SHOWN]] + ["…"] * (len(found) > _SHOWN))
