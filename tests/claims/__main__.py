"""Measure claims under all seeds and write the evidence: `python tests/claims [method …]`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from _claim import SEEDS, evidence, write

from bequest.lazy import torch


def main(methods):
    """Measure each claim; 1 when a demand was missed."""
    torch.set_num_threads(1)
    held = [_measured(method) for method in methods or _all()]
    return int(not all(held))


def _measured(method):
    claim = importlib.import_module(f"test_{method}")
    seeds = getattr(claim, "SEEDS", SEEDS)
    record = evidence(method, {seed: claim.measure(seed) for seed in seeds}, claim)
    write(record)
    print(f"{method}: {'held' if record['held'] else 'MISSED'}")
    for name, demand in zip(record["values"], record["values"].values(), strict=True):
        print(f"  seed {name}: {demand}")
    for demand in record["demands"]:
        print(f"  {demand['demand']}: mean {demand['mean']}, interval {demand['interval']}")
    return record["held"]


def _all():
    files = sorted(Path(__file__).parent.glob("test_*.py"))
    return [path.stem.removeprefix("test_") for path in files if path.stem != "test_evidence"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
