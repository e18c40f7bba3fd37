"""The same merges by mergekit, where it is installed; bequest never needs it."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def version() -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version("mergekit")
    except metadata.PackageNotFoundError:
        return None


def settings(
    method: str, base: Path, models: Sequence[Path], density: float | None = None
) -> dict[str, Any]:
    """What mergekit is told to merge Llama checkpoints in float32 with equal weights."""
    each: dict[str, Any] = {"weight": 1.0} | ({"density": density} if density else {})
    told: dict[str, Any] = {
        "merge_method": method,
        "dtype": "float32",
        "models": [{"model": str(path), "parameters": each} for path in models],
    }
    if method != "linear":
        told |= {"base_model": str(base), "parameters": {"normalize": method == "ties"}}
    return told


def merge(told: dict[str, Any], out: Path) -> None:
    """Merge as told in this process; imports are not part of the time."""
    config = importlib.import_module("mergekit.config")
    run = importlib.import_module("mergekit.merge")
    options = importlib.import_module("mergekit.options")
    read = config.MergeConfiguration.model_validate(told)
    run.run_merge(read, str(out), options.MergeOptions(copy_tokenizer=False, quiet=True))


def command() -> list[str]:
    """Its own command line, without settings and output."""
    return [str(Path(sys.executable).with_name("mergekit-yaml")), "--no-copy-tokenizer", "--quiet"]
