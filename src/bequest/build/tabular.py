"""Tables with columns of numbers and of words, as tasks."""

from __future__ import annotations

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
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bequest.build.assemble import Prepared, Sides
    from bequest.build.classification import Classification
    from bequest.build.columns import Columns, SideTable
    from bequest.build.settings import ColumnSettings


def table_task(
    settings: ColumnSettings,
    name: str,
    tables: Sequence[SideTable],
    notes: Sequence[str] = (),
    *,
    unlabelled: bool = False,
    shape: tuple[int, int, int] | None = None,
    decimal: str | None = None,
) -> Classification:
    """The task of one table per side.

    Missing numbers get the training median of their column. Columns of words become one column
    per word that occurs in training. unlabelled: whether rows without a label are kept. shape: of
    the picture in each row, if it is one. decimal: the decimal mark of numbers that are texts.

    Raises:
        RequestError: a column is missing or can't be used, or a side would be empty.
    """
    names, said = feature_names(settings, tables)
    kept, left = (tables, []) if unlabelled else labelled_rows(settings.label, tables)
    words, codes = column_words([side.table[settings.label] for side in kept], settings.label)
    known = codes >= 0  # all of them, unless rows without a label are kept
    labels, targets = label_targets(words, codes[known], f"column `{settings.label}`")
    columns, told = read_columns(
        kept, pixel_names(names, settings, kept) if shape else names, decimal
    )
    # Those without a label stand behind all others, so that the pool is what stands before them.
    order = np.concatenate([np.flatnonzero(known), np.flatnonzero(~known)])
    columns, count = columns.take(order), int(known.sum())
    ids, side = content_ids(columns.contents()), _sides(kept)[order]
    group = column_group(labelled_rows(settings.label, kept)[0], settings)
    pool = Pool(ids[:count], targets, side[:count], group)

    def prepare(sides: Sides) -> Prepared:
        return prepared(columns, sides, settings.standardize)

    ready, kind = (pictures(columns, shape), "image") if shape else (prepare, "features")
    more = ids[count:] if unlabelled else None
    notes = (*notes, *said, *left, *told)
    return assemble(settings, name, kind, labels, pool, ready, notes, unlabelled=more)


def feature_names(
    settings: ColumnSettings, tables: Sequence[SideTable]
) -> tuple[list[str], list[str]]:
    """The columns that are given to the model, and notes on those which are left out.

    Raises:
        RequestError: the tables have other columns than the settings or the first of them name.
    """
    problems = [
        problem for side in tables for problem in settings.column_problems(side.table.column_names)
    ]
    if problems:
        raise RequestError(problems)
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


def labelled_rows(label: str, tables: Sequence[SideTable]) -> tuple[list[SideTable], list[str]]:
    """The rows of each table that have a label, and a note on the others."""
    known = [column_words([side.table[label]], label)[1] >= 0 for side in tables]
    count = sum(int((~rows).sum()) for rows in known)
    if not count:
        return list(tables), []
    kept = [side.take(rows) for side, rows in zip(tables, known, strict=True)]
    return kept, [f"{count} samples without a label were left out"]


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


def _sides(tables: Sequence[SideTable]) -> NDArray[np.int8]:
    sides = np.array([side.side for side in tables], np.int8)
    return np.repeat(sides, [side.table.num_rows for side in tables])


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
