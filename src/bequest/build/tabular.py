"""Tables with columns of numbers and of words, as tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bequest.build.assemble import assemble, learned, standardized
from bequest.build.classification import natural
from bequest.build.column_values import column_words
from bequest.build.columns import column_group, read_columns
from bequest.build.labels import label_targets
from bequest.build.row_names import without_row_names
from bequest.build.splitting import Pool, content_ids
from bequest.build.table_pictures import pictures, pixel_names
from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bequest.build.assemble import Prepared, Sides
    from bequest.build.classification import Classification
    from bequest.build.columns import Columns, SideTable
    from bequest.build.settings import ColumnSettings


@dataclass(frozen=True)
class Features:
    """The features of a table's rows.

    ids: content ids, int64 [n]; side: as in `Pool`; kind: of the inputs; prepare: as `assemble`
    takes it; notes: what was left out, and how columns were read.
    """

    ids: NDArray[np.int64]
    side: NDArray[np.int8]
    kind: str
    prepare: Callable[[Sides], Prepared]
    notes: list[str]


def table_task(
    settings: ColumnSettings,
    name: str,
    tables: Sequence[SideTable],
    notes: Sequence[str] = (),
    *,
    unlabelled: bool = False,
    shape: tuple[int, int, int] | None = None,
) -> Classification:
    """The task of one table per side.

    Missing numbers get the training median of their column. Columns of words become one column
    per word that occurs in training. unlabelled: whether rows without a label are kept. shape: of
    the picture in each row, if it is one.

    Raises:
        RequestError: a column is missing or can't be used, or a side would be empty.
    """
    problems = [
        replace(problem, what=f"{side.place}: {problem.what}")
        for side in tables
        for problem in settings.column_problems(side.table.column_names)
    ]
    if problems:
        raise RequestError(problems)
    known, unknown = by_label(settings.label, tables)
    # Rows without a label stand behind all others, so that the pool is what stands before them.
    features = features_of(settings, [*known, *unknown] if unlabelled else known, shape)
    words, codes = column_words([side.table[settings.label] for side in known], settings.label)
    labels, targets = label_targets(words, codes, f"column `{settings.label}`")
    count, group = len(targets), column_group(known, settings)
    pool = Pool(features.ids[:count], targets, features.side[:count], group)
    more = features.ids[count:] if unlabelled else None
    notes = (*notes, *(() if unlabelled else left_out(unknown)), *features.notes)
    return assemble(
        settings, name, features.kind, labels, pool, features.prepare, notes, unlabelled=more
    )


def features_of(
    settings: ColumnSettings,
    tables: Sequence[SideTable],
    shape: tuple[int, int, int] | None = None,
) -> Features:
    """The features of all rows, one table after another; shape: as for `table_task`.

    Raises:
        RequestError: a column can't be used, or the tables have different ones.
    """
    names, left = feature_names(settings, tables)
    names = pixel_names(names, settings, tables) if shape else names
    columns, read = read_columns(tables, names)

    def prepare(sides: Sides) -> Prepared:
        return prepared(columns, sides, settings.standardize)

    sides = np.array([side.side for side in tables], np.int8)
    return Features(
        content_ids(columns.contents()),
        np.repeat(sides, [side.table.num_rows for side in tables]),
        "image" if shape else "features",
        pictures(columns, shape) if shape else prepare,
        [*left, *read],
    )


def feature_names(
    settings: ColumnSettings, tables: Sequence[SideTable]
) -> tuple[list[str], list[str]]:
    """The columns that are given to the model, and notes on those which are left out.

    Raises:
        RequestError: the tables have other columns than the first of them.
    """
    aside, notes = without_row_names(tables, settings)
    per_side = [
        [name for name in settings.feature_columns(side.table.column_names) if name not in aside]
        for side in tables
    ]
    problems = [
        problem
        for side, names in zip(tables, per_side, strict=True)
        for problem in _other_columns(side, names, tables[0], per_side[0])
    ]
    if problems:
        raise RequestError(problems)
    return per_side[0], notes


def by_label(label: str, tables: Sequence[SideTable]) -> tuple[list[SideTable], list[SideTable]]:
    """The rows of each table that have a label, and those that have none."""
    known = [column_words([side.table[label]], label)[1] >= 0 for side in tables]
    with_label = [side if rows.all() else side.take(rows)
                  for side, rows in zip(tables, known, strict=True)]  # fmt: skip
    without = [side.take(~rows) for side, rows in zip(tables, known, strict=True)
               if not rows.all()]  # fmt: skip
    return with_label, without


def left_out(unknown: Sequence[SideTable]) -> list[str]:
    """A note on rows without a label."""
    count = sum(side.table.num_rows for side in unknown)
    return [f"{count} samples without a label were left out"] if count else []


def prepared(columns: Columns, sides: Sides, standardize: bool) -> Prepared:
    """Columns as features of each side, float32 [n, width], and how they were made."""
    train = columns.numbers[learned(sides)]
    seen = ~np.isnan(train).all(axis=0)
    median = np.zeros(train.shape[1])
    median[seen] = np.nanmedian(train[:, seen], axis=0)
    filled = np.where(np.isnan(columns.numbers), median, columns.numbers)
    coded = zip(columns.words, columns.codes.T, strict=True)
    present = [_present(words, codes[learned(sides)]) for words, codes in coded]
    flags = [
        codes[:, None] == np.array(chosen, np.int64)
        for chosen, codes in zip(present, columns.codes.T, strict=True)
    ]
    matrix = np.concatenate([filled, *flags], axis=1, dtype=np.float64)
    known = [[words[c] for c in codes] for words, codes in zip(columns.words, present, strict=True)]
    inputs, done = standardized(matrix, sides, standardize)
    return inputs, {**done, "features": columns.names, "median": median.tolist(), "words": known}


def _other_columns(
    side: SideTable, names: list[str], first: SideTable, wanted: list[str]
) -> list[Problem]:
    """Columns that one side has and the first one lacks, or the other way round."""
    at, fix = (side.field,), "every side needs the same columns; `features` names those to use"
    problems = []
    for name in wanted:
        if name not in names:
            what = f"{side.place} has no column `{name}`, which {first.place} has"
            problems.append(Problem(what, fix, at, did_you_mean(name, set(names) - set(wanted))))
    for name in names:
        if name not in wanted:
            what = f"{side.place} has a column `{name}`, which {first.place} has not"
            problems.append(Problem(what, fix, at))
    return problems


def _present(words: list[str], codes: NDArray[np.int64]) -> list[int]:
    """Codes of the words that occur, in natural order of the words."""
    return sorted(set(codes.tolist()) - {-1}, key=lambda code: natural(words[code]))
