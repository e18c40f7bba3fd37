"""Hugging Face data sets as tasks."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bequest.build.classification import label_space
from bequest.build.paths import located
from bequest.build.pictures import picture_task, read_pictures
from bequest.build.splitting import SIDES, TRAIN, Pool
from bequest.build.tabular import MOST_WORDS, column_group, column_words, table_task
from bequest.build.texts import Labelled, text_task
from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.lazy import datasets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bequest.build.classification import Classification
    from bequest.build.tasks.dataset import Dataset

_SIDE_OF = {name: index for index, name in enumerate(SIDES)} | {"val": 1, "valid": 1, "dev": 1}
_ON_DISK = ("dataset_dict.json", "state.json")


def dataset_task(settings: Dataset, name: str) -> Classification:
    """The task of a data set with a column of images, one of texts, or of numbers and words.

    Raises:
        RequestError: it can't be had, or has no usable columns.
    """
    with _quiet():
        splits = _fetched(settings)
    sides, notes = _by_side(splits)
    first = sides[TRAIN]
    problems = settings.column_problems(first.column_names)
    for field, column in (("image", settings.image), ("text", settings.text)):
        if column and column not in first.column_names:
            near = did_you_mean(column, first.column_names)
            problems.append(Problem(f"there is no column `{column}`", "", (field,), near))
    if problems:
        raise RequestError(problems)
    sides, withheld = _with_labels(sides, settings.label)
    notes += withheld
    if settings.text is None and (image := settings.image or _image_column(first, settings)):
        return _picture_task(settings, name, sides, image, notes)
    if text := settings.text or _text_column(first, settings):
        return _text_task(settings, name, sides, text, notes)
    tables = {side: _table(rows, settings.label) for side, rows in sides.items()}
    return table_task(settings, name, tables, notes)


class _Encoded:
    """The undecoded pictures of a column, over all sides."""

    def __init__(self, parts: list[Any], column: str, rows: list[tuple[int, int]]) -> None:
        self._parts, self._column, self._rows = parts, column, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int, /) -> Path | bytes:
        part, row = self._rows[index]
        encoded = self._parts[part][row][self._column] or {}
        return encoded.get("bytes") or located(encoded.get("path") or "")


def _picture_task(
    settings: Dataset, name: str, sides: Mapping[int, Any], image: str, notes: list[str]
) -> Classification:
    plain = datasets.Image(decode=False)
    parts = [rows.cast_column(image, plain) for rows in sides.values()]
    words = [column for column in (settings.label, settings.group_column) if column]
    told = pa.concat_tables(
        [_table(rows.select_columns(words), settings.label) for rows in sides.values()]
    )
    names, codes = column_words(told[settings.label])
    known = np.flatnonzero(codes >= 0)
    if len(known) < len(codes):
        notes = [*notes, f"{len(codes) - len(known)} samples without a label were left out"]
    labels = label_space(names)
    order = np.array([labels.index(word) for word in names], np.int64)
    side = np.repeat(np.array(list(sides), np.int8), [len(rows) for rows in parts])
    places = [(part, row) for part, rows in enumerate(parts) for row in range(len(rows))]
    sources = _Encoded(parts, image, [places[row] for row in known])
    ids, pictures = read_pictures(sources, settings)
    group = column_group(told, settings)
    pool = Pool(ids, order[codes[known]], side[known], None if group is None else group[known])
    return picture_task(settings, name, labels, pool, pictures, notes)


def _fetched(settings: Dataset) -> Any:
    place = located(settings.path)
    try:
        if any((place / name).is_file() for name in _ON_DISK):
            return datasets.load_from_disk(str(place))
        source = str(place) if place.is_dir() else settings.path
        return datasets.load_dataset(source, settings.name)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise RequestError(
            Problem(
                f"`{settings.path}` can't be loaded: {type(error).__name__}: {first}",
                "without a network only local folders and data sets in the cache work",
                ("path",),
            )
        ) from error


def _by_side(splits: Any) -> tuple[dict[int, Any], list[str]]:
    """The rows of each side, and a note on splits that stand for none."""
    if not isinstance(splits, dict):
        return {TRAIN: splits}, []
    if len(splits) == 1:
        return {TRAIN: next(iter(splits.values()))}, []
    sides = {_SIDE_OF[name]: rows for name, rows in splits.items() if name in _SIDE_OF}
    if TRAIN not in sides:
        what = f"there is no split `train`; there are {', '.join(splits)}"
        raise RequestError(Problem(what, field=("path",)))
    unused = [name for name in splits if name not in _SIDE_OF]
    return sides, [f"split {', '.join(unused)} was not used"] if unused else []


def _with_labels(sides: Mapping[int, Any], label: str) -> tuple[dict[int, Any], list[str]]:
    """The sides without those whose labels are withheld, and notes on these.

    Withheld labels are written -1, as in GLUE's tests; where training has it, -1 is a label.
    """
    if _withheld(sides[TRAIN], label, all_of_them=False):
        return dict(sides), []
    kept = {side: rows for side, rows in sides.items() if not _withheld(rows, label)}
    notes = [
        f"the labels of the {SIDES[side]} split are withheld (all -1, or no column `{label}`): "
        "it was left out, and such a side is drawn from training"
        for side in sides
        if side not in kept
    ]
    return kept, notes


def _withheld(rows: Any, label: str, all_of_them: bool = True) -> bool:
    """Whether -1 is the label of all rows, or of any; a column that isn't there is withheld."""
    if label not in rows.column_names:
        return all_of_them
    column = rows.select_columns([label]).with_format("arrow")[:][label]
    if not pa.types.is_integer(column.type) or not len(column):
        return False
    hidden = pc.equal(column, -1).fill_null(False)
    return bool((pc.all if all_of_them else pc.any)(hidden).as_py())


def _image_column(rows: Any, settings: Dataset) -> str | None:
    if settings.features is not None:
        return None
    columns = [name for name, kind in rows.features.items() if isinstance(kind, datasets.Image)]
    if len(columns) > 1:
        what = f"there are several columns of images: {', '.join(columns)}"
        raise RequestError(Problem(what, "name one", ("image",)))
    return next(iter(columns), None)


def _text_column(rows: Any, settings: Dataset) -> str | None:
    """The one column of strings with so many different values that they can't be words."""
    if settings.features is not None:
        return None
    texts = [
        column
        for column in settings.feature_columns(rows.column_names)
        if getattr(rows.features[column], "dtype", "") in ("string", "large_string")
        and len(rows.unique(column)) > MOST_WORDS
    ]
    if len(texts) > 1:
        what = f"there are several columns of texts: {', '.join(texts)}"
        fix = "name one, or columns of numbers in `features`"
        raise RequestError(Problem(what, fix, ("text",)))
    return next(iter(texts), None)


def _text_task(
    settings: Dataset, name: str, sides: Mapping[int, Any], text: str, notes: list[str]
) -> Classification:
    columns = [column for column in (text, settings.label, settings.group_column) if column]
    found = Labelled()
    for side, rows in sides.items():
        told = _table(rows.select_columns(columns), settings.label)
        names, codes = column_words(told[settings.label])
        labels = [names[code] if code >= 0 else "" for code in codes.tolist()]
        group = column_group(told, settings)
        groups = [None] * len(labels) if group is None else group.tolist()
        for one, label, own in zip(told[text].to_pylist(), labels, groups, strict=True):
            found.add(one or "", label, side, own)
    first = next(iter(sides.values()))
    if unused := [column for column in first.column_names if column not in columns]:
        notes = [*notes, f"only the texts in `{text}` were used, not {', '.join(unused)}"]
    return text_task(settings, name, found, notes)


def _table(rows: Any, label: str) -> Any:
    """All rows as a pyarrow table, with the names of its labels instead of their numbers."""
    table = rows.with_format("arrow")[:]
    kind = rows.features[label]
    if not isinstance(kind, datasets.ClassLabel):
        return table
    codes = table[label].to_numpy()
    known = [kind.names[int(code)] if code >= 0 else None for code in codes]
    place = table.column_names.index(label)
    return table.set_column(place, label, pa.array(known, pa.string()))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps progress bars and retries off the terminal, and only meanwhile."""
    from huggingface_hub.utils import logging as log

    shown, level = not datasets.are_progress_bars_disabled(), log.get_verbosity()
    datasets.disable_progress_bars()
    log.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        log.set_verbosity(level)
        if shown:
            datasets.enable_progress_bars()
