"""Texts with labels, as a live task: from files of records, or one folder per label."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bequest.build.assemble import assemble
from bequest.build.documents import documents, of_file, reading_notes, records
from bequest.build.finding import fetched
from bequest.build.labels import label_targets, one_spelling
from bequest.build.paths import FOLDER_SIDES, class_folders
from bequest.build.splitting import FIELD_SIDES, TRAIN, Pool, content_ids
from bequest.core.errors import Problem, RequestError
from bequest.core.live import Texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bequest.build.assemble import Prepared, Sides
    from bequest.build.classification import Classification
    from bequest.build.settings import SplitSettings
    from bequest.build.tasks.text import Text


@dataclass
class Labelled:
    """Texts as they were read; the lists have one entry per sample, `groups` one or none.

    where: what holds the labels, for people; sides: positions in `splitting.SIDES`;
    lacking: samples left out, without a text or a label; notes: how files were read.
    """

    where: str
    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    lacking: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, text: str, label: str, side: int = TRAIN, group: str | None = None) -> None:
        """Take a sample in, or count it where it lacks its text or label."""
        if not text.strip() or not label:
            self.lacking += 1
            return
        self.texts.append(text)
        self.labels.append(label)
        self.sides.append(side)
        if group is not None:
            self.groups.append(group)


def labelled(settings: Text) -> Labelled:
    """What the files or the folder of the settings hold.

    Raises:
        RequestError: a file, line or column can't be used.
    """
    found = Labelled(f"column `{settings.label}`")
    for name, path in settings.files().items():
        try:
            _add(found, fetched(path), FIELD_SIDES[name], settings)
        except RequestError as error:
            raise RequestError(of_file(error.problems, name)) from error
    return found


def _add(found: Labelled, place: Path, side: int, settings: Text) -> None:
    if place.is_dir():
        _add_folders(found, place, side)
        return
    _add_records(found, str(place), side, settings)
    found.notes += reading_notes(place, settings.delimiter, settings.encoding)


def text_task(
    settings: SplitSettings, name: str, found: Labelled, notes: Sequence[str] = ()
) -> Classification:
    """The task of telling the labels of texts.

    Raises:
        RequestError: there are fewer than two labels, or a side would be empty.
    """
    words = list(dict.fromkeys(found.labels))
    position = {word: index for index, word in enumerate(words)}
    codes = np.array([position[word] for word in found.labels], np.int64)
    labels, targets = label_targets(words, codes, found.where)
    ids = content_ids(text.encode() for text in found.texts)
    names = one_spelling(set(found.groups), "the column of groups")
    group = np.array([names[one] for one in found.groups]) if found.groups else None
    pool = Pool(ids, targets, np.array(found.sides, np.int8), group)

    def prepare(sides: Sides) -> Prepared:
        texts = {side: tuple(found.texts[row] for row in rows) for side, rows in sides.items()}
        return {side: Texts(own) for side, own in texts.items()}, {}

    notes = [*notes, *found.notes]
    if found.lacking:
        notes = [*notes, f"{found.lacking} samples without a text or a label were left out"]
    return assemble(settings, name, "text", labels, pool, prepare, notes)


def _add_folders(found: Labelled, place: Path, side: int) -> None:
    for name, folder in class_folders(place):
        for _, text in documents(str(folder)):
            found.add(text, folder.name, side or FOLDER_SIDES.index(name))


def _add_records(found: Labelled, path: str, side: int, settings: Text) -> None:
    for one in records(path, delimiter=settings.delimiter, encoding=settings.encoding):
        text = "" if one.value(settings.text) is None else one.text(settings.text)
        group = one.word(settings.group_column) if settings.group_column else None
        if group == "":
            what = f"`{one.place}` has no `{settings.group_column}`"
            raise RequestError(Problem(what, "every sample needs its group", ("group_column",)))
        found.add(text, one.word(settings.label), side, group)
    if not found.texts:
        raise RequestError(Problem(f"`{path}` holds no text with a label", field=("path",)))
