"""The whole of a run: check, build, transfer, score, measure, judge."""

from __future__ import annotations

from bequest.runner.dry import Estimate, dry_run
from bequest.runner.prepare import inspect, prepare
from bequest.runner.result import Run
from bequest.runner.whole import run

__all__ = ["Estimate", "Run", "dry_run", "inspect", "prepare", "run"]
