"""One line for other programs: a pack, or a place where vectors lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bequest.build.upgrade import load_upgrade
from bequest.core.errors import Problem, RequestError
from bequest.core.find import find
from bequest.core.parts import IndexSpec

if TYPE_CHECKING:
    from bequest.build.upgrade import Upgrade


def load_pack(path: str | Path) -> Upgrade:
    """The upgrade of an embedder in a pack, ready to be applied; needs no torch and no run folder.

        new = bequest.load_pack("upgrade.safetensors").apply(vectors)

    Raises:
        RequestError: there is none, it is of another kind, or it is damaged.
    """
    return load_upgrade(Path(path))


def open_index(use: str, **settings: Any) -> IndexSpec:
    """A place where vectors lie, to `read()` from or `write(ids, vectors)` to.

    use: `file`, `lancedb` or `pgvector`; settings: as in a recipe.

    Raises:
        RequestError: there is no such kind of place, or it can't be used.
    """
    try:
        found: Any = find("indexes", use)(**settings)
    except ValidationError as error:
        raise RequestError(Problem(f"invalid settings for `{use}`: {error}")) from error
    if not isinstance(found, IndexSpec):
        raise RequestError(Problem(f"`{use}` is no place where vectors lie", "see `IndexSpec`"))
    if problems := found.check():
        raise RequestError(problems)
    return found
