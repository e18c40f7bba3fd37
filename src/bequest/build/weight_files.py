"""Which files of a pretrained model's folder hold its weights: what the index names, and no other.

`save_pretrained` writes `model.safetensors`, or numbered files and `model.safetensors.index.json`,
which says in which of them each weight lies.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError
from bequest.store.tensor_header import read_header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bequest.store.tensor_header import Entry

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_INDEX_LIMIT = 64 << 20
_SHOWN = 5
_WEIGHTS = {"F16", "BF16", "F32", "F64"}
_NO_WEIGHTS = {"BOOL", "I32", "I64"}  # of masks, positions and counts


def weight_files(path: str, folder: Path) -> list[Path]:
    """The files that hold the weights of the model in `folder`.

    path: as the recipe has it.

    Raises:
        RequestError: there are none, it isn't clear which, or the index is wrong.
    """
    there = sorted(file.name for file in folder.glob("*.safetensors"))
    if not there:
        what = f"`{path}` has no safetensors file, and pickled weights are never opened"
        raise _wrong(what, "save it with `save_pretrained`")
    index = (folder / _INDEX).is_file()
    if index and _WHOLE in there and _named(path, folder) != {_WHOLE}:
        what = f"`{path}` holds both {_WHOLE} and {_INDEX}"
        raise _wrong(what, "remove the one that isn't meant")
    if _WHOLE in there:
        return [folder / _WHOLE]
    if not index:
        what = f"`{path}` has neither {_WHOLE} nor {_INDEX}, but {some(there)}"
        raise _wrong(what, f"rename the file with the weights to {_WHOLE}")
    return [folder / name for name in sorted(_named(path, folder))]


def passed_over(folder: Path, files: Sequence[Path]) -> list[str]:
    """Names of the folder's other safetensors files."""
    there = {file.name for file in folder.glob("*.safetensors")}
    return sorted(there - {file.name for file in files})


def entries_of(files: Sequence[Path]) -> dict[str, Entry]:
    """Type and shape of every weight, by the headers of the files.

    Raises:
        ValueError: a file is damaged, two hold the same weight, or a weight is of a type that is
            not read.
    """
    found: dict[str, Entry] = {}
    for file in files:
        try:
            with file.open("rb") as opened:
                entries = read_header(opened).entries
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ValueError(f"{file.name} is damaged: {error}") from error
        if twice := sorted(found.keys() & entries.keys()):
            raise ValueError(f"{len(twice)} weights are in two files ({some(twice)})")
        found |= entries
    _refuse_types(found)
    return found


def some(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    more = " …" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name[:100]}`" for name in names[:_SHOWN]) + more


def refuse_quantised(path: str, config: Mapping[str, Any]) -> None:
    """Refuse a model whose config.json says that its weights are packed in few bits.

    Raises:
        RequestError: it does.
    """
    if told := config.get("quantization_config"):
        method = told.get("quant_method") if isinstance(told, dict) else None
        what = f"the weights of `{path}` are quantised ({method or 'by an unknown method'})"
        raise _wrong(what, "name the folder of the model in float32, float16 or bfloat16")


def _refuse_types(entries: Mapping[str, Entry]) -> None:
    odd = [name for name, one in entries.items() if one.kind not in _WEIGHTS | _NO_WEIGHTS]
    if odd:
        kinds = ", ".join(sorted({entries[name].kind for name in odd}))
        raise ValueError(
            f"{len(odd)} weights are of type {kinds} ({some(odd)}); they must be float32, float16 "
            "or bfloat16"
        )


def _named(path: str, folder: Path) -> set[str]:
    """The files that the index names; all are there, and in the folder."""
    file = folder / _INDEX
    try:
        if file.stat().st_size > _INDEX_LIMIT:
            raise ValueError("it is over 64 MiB")
        places = json.loads(file.read_text(encoding="utf-8"))["weight_map"]
        names = {str(name) for name in places.values()}
    except (OSError, LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        what = f"the {_INDEX} of `{path}` can't be read: {error}"
        raise _wrong(what, "save the model with `save_pretrained`") from error
    if not names:
        raise _wrong(f"the {_INDEX} of `{path}` names no file", "save it with `save_pretrained`")
    if outside := sorted(name for name in names if not _is_inside(name)):
        what = f"the {_INDEX} of `{path}` names files that aren't in the folder: {some(outside)}"
        raise _wrong(what, "it must name safetensors files that lie beside it")
    if missing := sorted(name for name in names if not (folder / name).is_file()):
        what = f"`{path}` lacks {len(missing)} of {len(names)} files that its {_INDEX} names: "
        raise _wrong(what + some(missing), "copy them there, under these names")
    return names


def _is_inside(name: str) -> bool:
    return name.endswith(".safetensors") and not {"/", "\\", "\0"} & set(name)


def _wrong(what: str, fix: str) -> RequestError:
    return RequestError(Problem(what, fix, ("path",)))
