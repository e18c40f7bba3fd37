"""What stands in a column of an Arrow table: texts, numbers, different words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bequest.build.labels import one_spelling
from bequest.build.written import GROUPS, MISSING, odd_one, sorted_out
from bequest.core.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bequest.build.written import Written

_MOST_EXACT = 2.0**53  # whole numbers up to it have a float of their own
_TIME = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?")


def column_words(parts: Sequence[Any], name: str) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct values of a column's parts as text, and the position of each row's; -1 if missing.

    Only what is empty is missing: `NA` is a word like others. Whole numbers are one word however
    they are stored: `1`, not `1.0`. name: of the column.

    Raises:
        RequestError: it holds what can't be text, or one number in two spellings.
    """
    said = pa.chunked_array(
        [chunk for part in parts for chunk in texts_in(part).chunks], pa.large_string()
    )
    coded = said.combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    names = one_spelling(coded.dictionary.to_pylist(), f"column `{name}`")
    spelled = list(names.values())
    words = list(dict.fromkeys(spelled))
    position = {word: number for number, word in enumerate(words)}
    turned = np.array([*(position[word] for word in spelled), -1], np.int64)
    return words, turned[codes]


def written_in(parts: list[Any]) -> list[Written] | None:
    """What stands in each part of a column of texts, or of parts of several kinds.

    None where all parts are numbers, truth values, categories (as declared), or none of these.
    """
    kinds = {_kind(part) for part in parts} - {"nothing"}
    if "other" in kinds or (len(kinds) == 1 and "text" not in kinds):
        return None
    return [_of_numbers(said) or _of_values(said) for said in map(texts_in, parts)]


def _kind(part: Any) -> str:
    tests = {
        "nothing": pa.types.is_null, "text": is_text, "number": is_number,
        "truth": pa.types.is_boolean, "categories": pa.types.is_dictionary,
    }  # fmt: skip
    return next((kind for kind, test in tests.items() if test(part.type)), "other")


def _of_numbers(said: Any) -> Written | None:
    """What stands in a column of nothing but numbers, by an example of each kind; else None."""
    try:
        numbers = said.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    if not len(said) or pc.any(pc.is_nan(numbers)).as_py() is not False:
        return None
    points = pc.match_substring(said, ".")
    with_point = said.filter(points)
    groups = pc.match_substring_regex(with_point, GROUPS)
    kinds = (said.filter(pc.invert(points)), with_point.filter(groups),
             with_point.filter(pc.invert(groups)))  # fmt: skip
    return sorted_out({kind[0].as_py(): len(kind) for kind in kinds if len(kind)})


def _of_values(said: Any) -> Written:
    counts = said.drop_null().value_counts()
    values, rows = counts.field("values").to_pylist(), counts.field("counts").to_pylist()
    return sorted_out(dict(zip(values, rows, strict=True)))


def holds_numbers(column: Any) -> bool:
    """Whether a column of texts is one of numbers, or mostly of numbers."""
    said = texts_in(column)
    found = _of_numbers(said) or _of_values(said)
    return found.are_numbers() or odd_one(found) is not None


def texts_in(column: Any) -> Any:
    """A column as texts without blanks around them, null where nothing is said."""
    try:
        text = pc.utf8_trim_whitespace(_whole(plain(column)).cast(pa.large_string()))
    except pa.ArrowException as error:
        what = f"a column holds {column.type}, which can't be labels, groups or words"
        raise RequestError(Problem(what, "name another one")) from error
    return pc.if_else(pc.equal(text, ""), None, text)


def trimmed(column: Any) -> Any:
    """A column of texts without blanks around them, null where empty; any other as it is."""
    return texts_in(column) if is_text(column.type) else column


def plain(column: Any) -> Any:
    """A column with the values of its categories instead of their codes; any other as it is."""
    dictionary = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if dictionary else column


def _whole(column: Any) -> Any:
    """Numbers without NaN; whole ones that were stored as fractions as whole numbers."""
    if not pa.types.is_floating(column.type):
        return column
    known = pc.if_else(pc.is_nan(column), None, column)
    exact = pc.less_equal(pc.abs(known), _MOST_EXACT)
    whole = pc.all(pc.and_(exact, pc.equal(pc.floor(known), known))).as_py()
    return known.cast(pa.int64()) if whole else known


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is one of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: Any) -> bool:
    """Whether an Arrow type is one of numbers, or of nothing at all."""
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in known)


def are_times(words: list[str]) -> bool:
    """Whether all of these are dates or times of day, as ISO 8601 writes them."""
    if all(map(_TIME.fullmatch, words)):
        return True
    try:
        pa.array(words).cast(pa.timestamp("ns"))
    except pa.ArrowInvalid:
        return False
    return True


def parsed(column: Any, mark: str) -> NDArray[np.float64]:
    """Numbers that are written as text, with this decimal mark; NaN where missing."""
    said = column if is_text(column.type) else texts_in(column)
    marks = pa.array(sorted(MISSING), said.type)
    said = pc.if_else(pc.is_in(said, marks), None, said)
    return floats(pc.replace_substring(said, ",", ".") if mark == "," else said)


def floats(column: Any) -> NDArray[np.float64]:
    """float64 [n], NaN where missing; zeros and NaN have one form each."""
    filled = plain(column).cast(pa.float64(), safe=False).fill_null(float("nan"))
    numbers: NDArray[np.float64] = filled.to_numpy() + 0.0
    numbers[np.isnan(numbers)] = np.nan
    return numbers
