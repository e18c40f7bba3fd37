"""The same merges by mergekit, where it is installed; bequest never needs it."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def version() -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version("mergekit")
    except metadata.PackageNotFoundError:
        return None


def merge(
    method: str, base: Path, models: Sequence[Path], out: Path, density: float | None = None
) -> None:
    """Merge Llama checkpoints in float32 with equal weights; imports are not part of the time."""
    config = importlib.import_module("mergekit.config")
    run = importlib.import_module("mergekit.merge")
    options = importlib.import_module("mergekit.options")
    each: dict[str, Any] = {"weight": 1.0} | ({"density": density} if density else {})
    told: dict[str, Any] = {
        "merge_method": method,
        "dtype": "float32",
        "models": [{"model": str(path), "parameters": each} for path in models],
    }
    if method != "linear":
        told |= {"base_model": str(base), "parameters": {"normalize": method == "ties"}}
    settings = config.MergeConfiguration.model_validate(told)
    run.run_merge(settings, str(out), options.MergeOptions(copy_tokenizer=False, quiet=True))
