"""Which files of a pretrained model's folder hold its weights, and what these are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bequest.core.errors import Problem, RequestError
from bequest.store import weight_files as stored
from bequest.store.weight_files import INDEX, SINGLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bequest.store.tensor_header import Entry

_SHOWN = 5
_PART = re.compile(r"-[0-9]+-of-[0-9]+[.]safetensors$")
_WEIGHTS = {"F16", "BF16", "F32", "F64"}
_NO_WEIGHTS = {"BOOL", "I32", "I64"}  # of masks, positions and counts


def weight_files(path: str, folder: Path) -> stored.WeightFiles:
    """The files that hold the weights of the model in `folder`, as `save_pretrained` names them.

    path: as the recipe has it.

    Raises:
        RequestError: there are none, it isn't clear which, or the index is wrong.
    """
    try:
        found = stored.weight_files(folder)
    except RequestError as error:
        raise RequestError([problem.under("path") for problem in error.problems]) from error
    if not found.files:
        what = f"`{path}` has no safetensors file, and pickled weights are never opened"
        raise _wrong(what, "save it with `save_pretrained`")
    names = [file.name for file in found.files]
    if not found.index and names != [SINGLE]:
        what = f"`{path}` has neither {SINGLE} nor {INDEX}, but {some(names)}"
        whole = f"rename the file with the weights to {SINGLE}"
        parts = all(_PART.search(name) for name in names)
        raise _wrong(what, "copy or fetch the whole model again" if parts else whole)
    return found


def entries_of(folder: Path) -> dict[str, Entry]:
    """Type and shape of every weight, by the headers of the files.

    Raises:
        RequestError: a file is damaged, or files and index differ.
        ValueError: a weight is of a type that is not read.
    """
    from bequest.store.checkpoints import checkpoint  # numpy; a recipe is checked without it

    try:
        tensors = checkpoint(folder).tensors
    except RequestError as error:
        raise RequestError([problem.under("path") for problem in error.problems]) from error
    found = {name: place.entry for name, place in tensors.items()}
    if odd := [name for name, one in found.items() if one.kind not in _WEIGHTS | _NO_WEIGHTS]:
        kinds = ", ".join(sorted({found[name].kind for name in odd}))
        told = weights(odd, f" of type {kinds}")
        raise ValueError(f"it holds {told}; they must be of float32, float16 or bfloat16")
    return found


def some(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    more = " …" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name[:100]}`" for name in names[:_SHOWN]) + more


def weights(names: Sequence[str], what: str = "") -> str:
    """How many weights, and the first few, for a message; `what` stands between."""
    return f"{len(names)} weight{'' if len(names) == 1 else 's'}{what} ({some(names)})"


def refuse_quantised(path: str, config: Mapping[str, Any]) -> None:
    """Refuse a model whose config.json says that its weights are packed in few bits.

    Raises:
        RequestError: it does.
    """
    if told := config.get("quantization_config"):
        method = told.get("quant_method") if isinstance(told, dict) else None
        what = f"the weights of `{path}` are quantised ({method or 'by an unknown method'})"
        raise _wrong(what, "name the folder of the model in float32, float16 or bfloat16")


def _wrong(what: str, fix: str) -> RequestError:
    return RequestError(Problem(what, fix, ("path",)))
