"""Names of assets, and where they lie: `assets/NAME/VERSION` in the cache; cheap to ask."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bequest.build.assets.known import known, known_assets
from bequest.core.errors import StoreError
from bequest.store.files import read_sealed

if TYPE_CHECKING:
    from bequest.build.assets.known import Asset

RECORD = "asset.json"


def is_asset(name: str) -> bool:
    """Whether something is fetched by that name."""
    return name in known_assets()


def asset_folder(name: str) -> Path | None:
    """The local folder of an asset, or None when it was not fetched yet; reads no content.

    Raises:
        RequestError: there is no such asset.
    """
    asset = known(name)
    folder = home(asset) / asset.version
    return folder if contents(folder) else None


def cache_folder() -> Path:
    """`$BEQUEST_CACHE`, else `bequest` in `$XDG_CACHE_HOME`, else in `~/.cache`."""
    own = os.environ.get("BEQUEST_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification has relative paths ignored.
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "bequest"


def home(asset: Asset) -> Path:
    """The folder that belongs to an asset: its versions, its lock, what is being fetched."""
    return cache_folder() / "assets" / asset.name


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each file that belongs in `folder`; empty when it isn't whole."""
    try:
        files = read_sealed(folder / RECORD)["files"]
        whole = all((folder / name).stat().st_size == size for name, (size, _) in files.items())
    except (StoreError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return {}
    return {name: (size, sha256) for name, (size, sha256) in files.items()} if whole else {}
