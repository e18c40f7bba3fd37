"""How training prepared its inputs: written beside a delivered model, done again to new inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bequest.build.column_values import column_words, texts_in
from bequest.build.columns import SideTable, read_columns
from bequest.build.described import innermost
from bequest.build.pictures import ImageFiles, stacked
from bequest.core.errors import Problem, RequestError, did_you_mean
from bequest.core.live import Texts
from bequest.store.files import read_json, write_json
from bequest.store.tensors import understood

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bequest.core.live import Task

PREPARATION = "preparation.json"
# Settings that say how a file is read, and which columns are no inputs.
_OUTSIDE = ("label", "target", "group_column")
_OF_FILES = ("delimiter", "encoding", "decimal", "text", *_OUTSIDE)
_SHOWN = 10


@dataclass(frozen=True)
class Asked:
    """A task that a model was asked about, without its data.

    asks, kind, shape, labels: as of a `Task`. changed: whether its inputs were changed further,
    such as turned, after they had been read. done: what was done to the raw data. reading: the
    task's settings that say how a file is read. stored: the type of its inputs' numbers.
    """

    asks: str
    kind: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    changed: bool = False
    done: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    stored: str = "float32"


def write_preparation(
    folder: Path, tasks: Mapping[str, Task], entries: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write how the inputs of tasks were prepared, by the task's name.

    entries: the recipe's own settings of each.
    """
    told = {name: _told(task, innermost(entries[name])) for name, task in tasks.items()}
    write_json(folder / PREPARATION, {"tasks": told})


def read_preparation(folder: Path) -> dict[str, Asked]:
    """What `write_preparation` wrote; nothing of a run that is older.

    Raises:
        StoreError: the file is damaged.
    """
    place = folder / PREPARATION
    if not place.is_file():
        return {}
    with understood(place):
        return {name: Asked(**{**one, "shape": tuple(one["shape"]), "labels": tuple(one["labels"])})
                for name, one in read_json(place)["tasks"].items()}  # fmt: skip


def prepared(inputs: Any, asked: Asked) -> tuple[Any, list[str]]:
    """Raw inputs as training would have prepared them, and what a user should know of it.

    inputs: texts; paths of pictures, PIL images, or an array as of the task's own inputs; rows of a
        table as a DataFrame, a pyarrow table, a mapping of columns, mappings by row, or an array
        [n, columns] in the order of training.

    Raises:
        RequestError: they are of another kind, lack a column, or hold what is no number.
    """
    if asked.changed:
        what = "the task changed its inputs after reading them, as by turning or permuting them"
        raise RequestError(Problem(what, "prepare them yourself and ask the model's `logits`"))
    if asked.kind == "text":
        return _texts(inputs), []
    if asked.kind == "image" and "features" not in asked.done:
        return _pictures(inputs, asked), []
    if asked.kind in ("features", "image"):
        return _rows(inputs, asked)
    what = f"inputs of the kind `{asked.kind}` can't be prepared here"
    raise RequestError(Problem(what, "read them with a task of a recipe"))


def _told(task: Task, settings: Mapping[str, Any]) -> dict[str, Any]:
    test, done = task.splits.get("test"), dict(getattr(task, "preparation", {}))
    return {
        "asks": task.asks,
        "kind": task.kind,
        "shape": list(task.shape),
        "labels": list(task.labels),
        "changed": "changed" in done,
        "done": done,
        "stored": str(getattr(test and test.inputs, "dtype", "float32")),
        "reading": {name: settings[name] for name in _OF_FILES if settings.get(name)},
    }


def _texts(inputs: Any) -> Texts:
    given = [inputs] if isinstance(inputs, str) else list(inputs)
    for number, text in enumerate(given):
        if not isinstance(text, str):
            what = f"input {number} is a {type(text).__name__}"
            raise RequestError(Problem(what, "the model takes texts: give a list of str"))
    return Texts(tuple(given))


def _pictures(inputs: Any, asked: Asked) -> Any:
    if isinstance(inputs, np.ndarray):
        if inputs.shape[1:] != asked.shape or inputs.dtype not in (np.uint8, np.float32):
            what = f"the array holds {inputs.dtype} {list(inputs.shape)}"
            fix = f"it must hold uint8, or float32 from 0 to 1, [n, {_sizes(asked.shape)}]"
            raise RequestError(Problem(what, f"{fix}; or give paths, or PIL images"))
        return inputs
    sources = [_source(one) for one in ([inputs] if _is_one(inputs) else inputs)]
    channels, size = asked.shape[0], asked.shape[-1]
    files = ImageFiles(sources, asked.done.get("size", size), asked.done.get("channels", channels))
    found = files.decoded(np.arange(len(files)))
    if broken := [each for each in found if isinstance(each, str)]:
        more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        what = f"{len(broken)} pictures can't be read: {'; '.join(broken[:_SHOWN])}{more}"
        raise RequestError(Problem(what, "repair them or take them out"))
    pixels = [each for each in found if not isinstance(each, str)]
    return stacked(pixels) if pixels else np.zeros((0, *asked.shape), np.uint8)


def _is_one(inputs: Any) -> bool:
    return isinstance(inputs, str | Path) or hasattr(inputs, "save")


def _source(one: Any) -> Path | bytes:
    """A path as it is; a PIL image as the content of a file without loss."""
    if isinstance(one, str | Path):
        return Path(one).expanduser()
    if not hasattr(one, "save"):
        what = f"a {type(one).__name__} is no picture"
        raise RequestError(Problem(what, "give paths, PIL images, or one array of all"))
    content = BytesIO()
    one.save(content, "PNG")
    return content.getvalue()


def _rows(inputs: Any, asked: Asked) -> tuple[NDArray[Any], list[str]]:
    """Features [n, …], as the task stores them."""
    done = asked.done
    if "features" not in done:
        matrix = _matrix(inputs, asked.shape)
        return _standardized(matrix, done).reshape(-1, *asked.shape), []
    names = done["features"]
    side = inputs if isinstance(inputs, SideTable) else _side(_table(inputs, names))
    there = side.table.column_names
    _refuse_missing(there, names)
    count = len(done.get("median", names))
    held, notes = _numbers(side, names[:count])
    known = {*names, *(asked.reading.get(name) for name in _OUTSIDE)}
    if others := [name for name in there if name not in known]:
        notes.append(f"columns that the model doesn't read were passed over: {_listed(others)}")
    if "median" not in done:
        return _pixels(held, asked), notes
    filled = np.where(np.isnan(held), np.array(done["median"]), held)
    worded = zip(names[count:], done["words"], strict=True)
    flags, strange = [], []
    for name, seen in worded:
        flag, more = _flags(side.table[name], name, seen)
        flags.append(flag)
        strange += more
    matrix = np.concatenate([filled, *flags], axis=1, dtype=np.float64)
    return _standardized(matrix, done).reshape(-1, *asked.shape), [*strange, *notes]


def _side(table: Any) -> SideTable:
    return SideTable(0, "the rows", "", table)


def _numbers(side: SideTable, names: Sequence[str]) -> tuple[NDArray[np.float64], list[str]]:
    """The columns of these names, [n, names], NaN where missing, and how they were read.

    Raises:
        RequestError: one holds something else than numbers.
    """
    empty = [name for name in names if side.table[name].null_count == side.table.num_rows]
    asked = [name for name in names if name not in empty]
    held = np.full((side.table.num_rows, len(names)), np.nan)
    said = [f"columns without any value: {_listed(empty)}"] if empty else []
    if not asked:
        return held, said
    columns, notes = read_columns([side], asked)
    if columns.words:
        name = columns.names[columns.numbers.shape[1]]
        what = f"column `{name}` must hold numbers, but it holds words"
        raise RequestError(Problem(f"{what} such as `{columns.words[0][0]}`"))
    for name, values in zip(columns.names, columns.numbers.T, strict=True):
        held[:, names.index(name)] = values
    return held, [*said, *notes]


def _flags(column: Any, name: str, seen: Sequence[str]) -> tuple[NDArray[np.bool_], list[str]]:
    """One column per word that training saw, bool [n, words], and the others."""
    said = pc.utf8_lower(texts_in(column)) if {*seen} <= {"true", "false"} else column
    words, codes = column_words([said], name)
    at = [words.index(word) if word in words else -2 for word in seen]
    strange = [word for word in words if word not in seen]
    what = f"`{name}` holds words that training never saw: {_listed(strange)}"
    return codes[:, None] == np.array(at, np.int64), [what] if strange else []


def _pixels(held: NDArray[np.float64], asked: Asked) -> NDArray[Any]:
    """Pictures whose pixels are columns, in the form that training had."""
    if np.isnan(held).any():
        raise RequestError(Problem("a picture lacks a pixel", "it needs all of them"))
    most = 255 if asked.stored == "uint8" else 1
    if held.size and not 0 <= held.min() <= held.max() <= most:
        what = f"the pixels have values of {held.min():g} to {held.max():g}"
        raise RequestError(Problem(what, f"in training they were from 0 to {most}"))
    return held.reshape(-1, *asked.shape).astype(asked.stored)


def _standardized(matrix: NDArray[np.float64], done: Mapping[str, Any]) -> NDArray[np.float32]:
    mean, std = np.array(done.get("mean", 0.0)), np.array(done.get("std", 1.0))
    if {mean.size, std.size} - {1, matrix.shape[1]}:
        what = f"{PREPARATION} is another model's: it prepares {mean.size} columns"
        raise RequestError(Problem(what, f"the model takes {matrix.shape[1]}"))
    ready: NDArray[np.float32] = ((matrix - mean) / std).astype(np.float32)
    return ready


def _matrix(inputs: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers without names, [n, columns]."""
    try:
        matrix = np.asarray(inputs, np.float64)
    except (TypeError, ValueError) as error:
        raise RequestError(Problem(f"the rows can't be read as numbers: {error}")) from error
    width = int(np.prod(shape))
    if matrix.ndim < 2 or matrix[0].size != width:
        what = f"the rows have the shape {list(matrix.shape)}"
        raise RequestError(Problem(what, f"they must be [n, {_sizes(shape)}]"))
    if not np.isfinite(matrix).all():
        raise RequestError(Problem("a row holds NaN or infinity", "every value must be a number"))
    return matrix.reshape(len(matrix), width)


def _table(inputs: Any, names: Sequence[str]) -> Any:
    """A pyarrow table of whatever holds rows."""
    if isinstance(inputs, pa.Table):
        return inputs
    if hasattr(inputs, "iloc"):  # a DataFrame; pandas itself is not needed
        return pa.Table.from_pandas(inputs, preserve_index=False)
    try:
        if hasattr(inputs, "keys"):
            return pa.table(dict(inputs))
        rows = list(inputs)
        if rows and hasattr(rows[0], "keys"):
            return _of_mappings(rows)
        return _by_place(rows, names)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise RequestError(Problem(f"the rows can't be read as a table: {error}")) from error


def _of_mappings(rows: Sequence[Mapping[str, Any]]) -> Any:
    names = list(rows[0])
    for number, row in enumerate(rows):
        if set(row) != set(names):
            odd = ", ".join(f"`{name}`" for name in sorted(set(row) ^ set(names)))
            what = f"row {number} has other columns than row 0: it differs in {odd}"
            raise RequestError(Problem(what, "give every row the same; None where one is missing"))
    return pa.table({name: [row[name] for row in rows] for name in names})


def _by_place(rows: Sequence[Any], names: Sequence[str]) -> Any:
    for number, row in enumerate(rows):
        if isinstance(row, str) or len(row) != len(names):
            what = f"row {number} is no list of {len(names)} values"
            fix = f"give, in this order, {_listed(names)}; or a DataFrame, whose names decide"
            raise RequestError(Problem(what, fix))
    plain = [row.tolist() if isinstance(row, np.ndarray) else row for row in rows]
    return pa.table({name: [row[place] for row in plain] for place, name in enumerate(names)})


def _refuse_missing(there: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in there]
    if not missing:
        return
    others = [name for name in there if name not in wanted]
    problems = [
        Problem(
            f"there is no column `{name}`, which the model was trained on",
            f"there are {_listed(there)}",
            meant=did_you_mean(name, others),
        )
        for name in missing[:_SHOWN]
    ]
    raise RequestError(problems)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
