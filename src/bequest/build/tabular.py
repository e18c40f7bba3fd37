"""Tables with columns of numbers and of words, as tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bequest.build.assemble import assemble, learned, standardized
from bequest.build.classification import label_space, natural
from bequest.build.splitting import Pool, content_ids
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.build.assemble import Prepared, Sides
    from bequest.build.classification import Classification
    from bequest.build.settings import ColumnSettings

MOST_WORDS = 50
_MOST_NUMBER_LABELS = 1000
_MOST_EXACT = 2.0**53  # whole numbers up to it have a float of their own


@dataclass(frozen=True)
class Columns:
    """Features before they are made ready.

    numbers: float64 [n, numeric columns], NaN where missing.
    codes: int64 [n, word columns], positions in `words`; -1 where missing.
    """

    names: list[str]
    numbers: NDArray[np.float64]
    codes: NDArray[np.int64]
    words: list[list[str]]

    def contents(self) -> Iterator[bytes]:
        """Canonical bytes of each row."""
        lists = [[*words, ""] for words in self.words]
        for numbers, codes in zip(self.numbers, self.codes, strict=True):
            said = (words[code] for words, code in zip(lists, codes, strict=True))
            yield numbers.tobytes() + "\x1f".join(said).encode()


def table_task(
    settings: ColumnSettings,
    name: str,
    tables: Mapping[int, Any],
    notes: Sequence[str] = (),
    *,
    unlabelled: bool = False,
) -> Classification:
    """The task of one pyarrow table per side (a position in `splitting.SIDES`).

    Missing numbers get the training median of their column. Columns of words become one column
    per word that occurs in training. unlabelled: whether rows without a label are kept.

    Raises:
        RequestError: a column is missing or can't be used, or a side would be empty.
    """
    table, side = _joined(tables)
    problems = settings.column_problems(table.column_names)
    if problems:
        raise RequestError(problems)
    known = pc.is_valid(table[settings.label]).to_numpy()
    count, left = int(known.sum()), []
    if unlabelled:  # behind all others, so that the pool is what stands before them
        table = pa.concat_tables([table.filter(pa.array(rows)) for rows in (known, ~known)])
    elif count < len(known):
        left = [f"{len(known) - count} samples without a label were left out"]
        table = table.filter(pa.array(known))
    labelled = table.slice(0, count)
    labels, targets = _labels(labelled[settings.label], settings.label)
    columns = _columns(table, settings.feature_columns(table.column_names))
    notes, ids = (*notes, *left, *_missing_notes(columns)), content_ids(columns.contents())
    pool = Pool(ids[:count], targets, side[known], column_group(labelled, settings))

    def prepare(sides: Sides) -> Prepared:
        return _prepared(columns, sides, settings.standardize)

    more = ids[count:] if unlabelled else None
    return assemble(settings, name, "features", labels, pool, prepare, notes, unlabelled=more)


def _joined(tables: Mapping[int, Any]) -> tuple[Any, NDArray[np.int8]]:
    side = np.repeat(np.array(list(tables), np.int8), [table.num_rows for table in tables.values()])
    try:
        return pa.concat_tables(tables.values(), promote_options="permissive"), side
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise RequestError(Problem(f"the files' columns differ in type: {error}")) from error


def _labels(column: Any, name: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    words, codes = column_words(column)
    if len(words) > _MOST_NUMBER_LABELS and _fractions(words):
        raise RequestError(
            Problem(
                f"column `{name}` has {len(words)} different numbers: it looks like a regression "
                "target",
                "name a column with classes",
                ("label",),
            )
        )
    labels = label_space(words)
    position = {label: index for index, label in enumerate(labels)}
    return labels, np.array([position[word] for word in words], np.int64)[codes]


def _fractions(words: list[str]) -> bool:
    try:
        return any(not float(word).is_integer() for word in words)
    except ValueError:
        return False


def column_words(column: Any) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct values of a column as text, and the position of each row's; -1 where missing."""
    try:
        said = _whole(_plain(column)).cast(pa.large_string())
    except pa.ArrowException as error:
        what = f"a column holds {column.type}, which can't be labels, groups or words"
        raise RequestError(Problem(what, "name another one")) from error
    text = pc.utf8_trim_whitespace(said)
    coded = text.combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return coded.dictionary.to_pylist(), codes


def _plain(column: Any) -> Any:
    dictionary = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if dictionary else column


def _whole(column: Any) -> Any:
    """Whole numbers that were stored as fractions, as whole numbers: label `1`, not `1.0`."""
    if not pa.types.is_floating(column.type):
        return column
    exact = pc.less_equal(pc.abs(column), _MOST_EXACT)
    whole = pc.all(pc.and_(exact, pc.equal(pc.floor(column), column))).as_py()
    return column.cast(pa.int64()) if whole else column


def column_group(table: Any, settings: ColumnSettings) -> NDArray[np.str_] | None:
    """The group of each row, or None where no column of groups is named.

    Raises:
        RequestError: a row has none.
    """
    if settings.group_column is None:
        return None
    words, codes = column_words(table[settings.group_column])
    if (codes < 0).any():
        what = f"{np.sum(codes < 0)} samples have no `{settings.group_column}`"
        raise RequestError(Problem(what, "every sample needs its group", ("group_column",)))
    return np.array(words, dtype=np.str_)[codes]


def _columns(table: Any, names: list[str]) -> Columns:
    numeric = [name for name in names if _is_number(table[name].type)]
    worded = [name for name in names if name not in numeric]
    problems = [found for name in worded if (found := _no_words(table[name], name))]
    if problems or not names:
        raise RequestError(problems or Problem("the table has no column to learn from"))
    numbers = [_numbers(table[name], name) for name in numeric]
    coded = [column_words(table[name]) for name in worded]
    empty = np.zeros((table.num_rows, 0))
    return Columns(
        numeric + worded,
        np.column_stack([empty, *numbers]),
        np.column_stack([empty.astype(np.int64), *(codes for _, codes in coded)]),
        [words for words, _ in coded],
    )


def _is_number(kind: Any) -> bool:
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(test(kind) for test in known)


def _no_words(column: Any, name: str) -> Problem | None:
    """What keeps a column that holds no numbers from being used as one of words."""
    fix = "name the columns to use in `features`"
    plain = _plain(column)
    said = (pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean)
    if not any(test(plain.type) for test in said):
        return Problem(f"column `{name}` holds {plain.type}, not numbers or words", fix)
    distinct = pc.count_distinct(plain).as_py()
    if distinct <= MOST_WORDS:
        return None
    example = str(plain.drop_null()[0])[:40]
    what = f"column `{name}` has {distinct} different words, such as `{example}`"
    return Problem(f"{what}; at most {MOST_WORDS} can be used", fix)


def _numbers(column: Any, name: str) -> NDArray[np.float64]:
    """float64 [n], NaN where missing; zeros and NaN have one form each."""
    filled = column.cast(pa.float64(), safe=False).fill_null(float("nan"))
    numbers: NDArray[np.float64] = filled.to_numpy() + 0.0
    numbers[np.isnan(numbers)] = np.nan
    endless = np.flatnonzero(np.isinf(numbers))
    if len(endless):
        what = f"column `{name}` is infinite in {len(endless)} rows, first in row {endless[0] + 1}"
        raise RequestError(Problem(what, "leave such rows or the column out"))
    return numbers


def _missing_notes(columns: Columns) -> list[str]:
    numbers, words = int(np.isnan(columns.numbers).sum()), int((columns.codes < 0).sum())
    notes = []
    if numbers:
        notes.append(f"{numbers} missing numbers got the training median of their column")
    if words:
        notes.append(f"{words} missing words count as no word")
    return notes


def _prepared(columns: Columns, sides: Sides, standardize: bool) -> Prepared:
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


def _present(words: list[str], codes: NDArray[np.int64]) -> list[int]:
    """Codes of the words that occur, in natural order of the words."""
    return sorted(set(codes.tolist()) - {-1}, key=lambda code: natural(words[code]))


@dataclass(frozen=True)
class Features:
    """The features of a table's rows, for a task that asks for something else than a label.

    ids: content ids, int64 [n]; side, group: as in `Pool`; prepare: as `assemble` takes it.
    """

    ids: NDArray[np.int64]
    side: NDArray[np.int8]
    group: NDArray[np.str_] | None
    prepare: Callable[[Sides], Prepared]
    notes: Sequence[str]


def features_of(settings: ColumnSettings, tables: Mapping[int, Any]) -> Features:
    """The features of one pyarrow table per side, one table after another.

    Raises:
        RequestError: a column can't be used.
    """
    table, side = _joined(tables)
    columns = _columns(table, settings.feature_columns(table.column_names))
    return Features(
        content_ids(columns.contents()),
        side,
        column_group(table, settings),
        lambda sides: _prepared(columns, sides, settings.standardize),
        _missing_notes(columns),
    )
