"""The whole of a run: check, build, transfer, score, measure, judge.

Parts are imported when they are asked for: judging a finished run needs none that builds or trains.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bequest.runner.dry import Estimate, dry_run
    from bequest.runner.preparing import inspect, prepare
    from bequest.runner.result import Run
    from bequest.runner.whole import Interrupted, run

_FILES = {
    "Estimate": "dry",
    "Interrupted": "whole",
    "Run": "result",
    "dry_run": "dry",
    "inspect": "preparing",
    "prepare": "preparing",
    "run": "whole",
}

__all__ = ["Estimate", "Interrupted", "Run", "dry_run", "inspect", "prepare", "run"]


def __getattr__(name: str) -> Any:
    if name not in _FILES:
        raise AttributeError(f"module 'bequest.runner' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bequest.runner.{_FILES[name]}"), name)
