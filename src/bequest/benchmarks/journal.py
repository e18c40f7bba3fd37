"""What a run pays for being able to go on after it is killed."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from bequest.benchmarks._side_by_side import CLOCKS, machine, now, one_thread, side_by_side, since
from bequest.benchmarks.overhead import POSITION, invented, workbench
from bequest.lazy import functional, torch
from bequest.recipe.schema import FitSettings
from bequest.runner.whole import run
from bequest.store.journal import Entry, Journal
from bequest.transfer import state
from bequest.transfer.fit import likely_cost, pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bequest.core.live import Batch
    from bequest.runner.result import Run

PROMISE = "at most 2 % of a run, by default also where a checkpoint is 100 MB of weights"
MOST_SHARE = 0.02
RECIPE, SEEDS = "quickstart", (0, 1)
WIDTH = 5120  # a square layer of 105 MB
LONGER = ("fit.epochs=60",)  # more than ten seconds of fits
ROUNDS = 6


def bench(
    rounds: int = ROUNDS, overrides: Sequence[str] = LONGER, width: int = WIDTH
) -> dict[str, Any]:
    """A run with and without the journal's writes, and one forced checkpoint of a large model.

    overrides: of the built-in recipe that is run, to set its length; width: of the large model.
    """
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        rows = [_run_row(rounds, overrides, Path(folder)), _checkpoint_row(width, Path(folder))]
    return {
        "name": "journal",
        "promise": PROMISE,
        "kept": all("void" not in row and row["share"]["wall"] <= MOST_SHARE for row in rows),
        "rows": rows,
        "machine": machine(),
    }


class _Spent(Counter[str]):
    """Seconds within the watched functions, by clock; `bytes` and `fsyncs` they wrote."""

    inside = False

    @contextlib.contextmanager
    def watching(self, *functions: tuple[Any, str]) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for owner, name in functions:
                timed = self._timed(getattr(owner, name))
                stack.enter_context(patch.object(owner, name, timed))
            stack.enter_context(patch.object(os, "fsync", self._counted(os.fsync)))
            yield

    def _timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            began, self.inside = now(), True
            try:
                return work(*arguments)
            finally:
                self.inside = False
                self.update(since(began, now()))

        return timed

    def _counted(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def counted(descriptor: int) -> None:
            sync(descriptor)
            written = os.fstat(descriptor)
            self["fsyncs"] += self.inside
            if self.inside and stat.S_ISREG(written.st_mode):
                self["bytes"] += written.st_size

        return counted


_WORK = ((Entry, "commit"), (Entry, "save_checkpoint"), (Entry, "result"), (state, "digest"))


def _run_row(rounds: int, overrides: Sequence[str], folder: Path) -> dict[str, Any]:
    folders = map(folder.joinpath, map(str, itertools.count()))
    shares: dict[str, list[float]] = {clock: [] for clock in CLOCKS}
    spent = _Spent()

    def with_journal() -> Run:
        spent.clear()
        began = now()
        with spent.watching(*_WORK):
            found = _run(overrides, next(folders))
        for clock, whole in since(began, now()).items():
            shares[clock].append(spent[clock] / whole)
        return found

    def without() -> Run:
        nothing = patch.multiple(Entry, commit=_nothing, save_checkpoint=_nothing)
        with nothing:
            return _run(overrides, next(folders))

    row = side_by_side(
        f"{RECIPE} under {len(SEEDS)} seeds",
        {"without its writes": without, "journal": with_journal},
        lambda one, other: _weights(one) == _weights(other),
        rounds=rounds,
    )
    share = {clock: _round(min(seen[1:])) for clock, seen in shares.items()}
    return {**row, "share": share, "bytes": spent["bytes"], "fsyncs": spent["fsyncs"]}


def _checkpoint_row(width: int, folder: Path) -> dict[str, Any]:
    model = torch.nn.Linear(width, width)
    rounds = [_forced(model, width, folder / "large") for _ in range(3)]
    spent = min(rounds, key=lambda each: each["wall"])
    # The first comes before its cost is known; those after it are as far apart as they cost.
    wait = pause(FitSettings().checkpoint_seconds, likely_cost({"": model}))
    share = {clock: _round(spent[clock] / (wait + spent[clock])) for clock in CLOCKS}
    return {
        "what": "the first checkpoint of a large model, with an optimiser's two averages",
        "weights": sum(each.numel() * each.element_size() for each in model.parameters()),
        "bytes": spent["bytes"],
        "fsyncs": spent["fsyncs"],
        "after": _round(wait),
        "seconds": {clock: _round(spent[clock]) for clock in CLOCKS},
        "share": share,
    }


def _forced(model: torch.nn.Module, width: int, folder: Path) -> _Spent:
    journal = Journal(folder, POSITION, {})
    settings = FitSettings(steps=2, batch_size=1, checkpoint_seconds=0)
    spent = _Spent()
    with spent.watching((Entry, "save_checkpoint")):
        workbench(journal, settings).fit(model, invented(2, width, width), _loss)
    journal.forget()
    return spent


def _loss(model: Any, batch: Batch, rng: Any) -> dict[str, Any]:
    return {"hard": functional.cross_entropy(model(batch.inputs), batch.targets)}


def _run(overrides: Sequence[str], folder: Path) -> Run:
    return run(RECIPE, out=folder, seeds=SEEDS, device="cpu", overrides=overrides)


def _weights(of: Run) -> list[bytes]:
    return [path.read_bytes() for path in sorted(of.path.rglob("*.safetensors"))]


def _nothing(entry: Entry, value: Any) -> None:
    """What a run without a journal writes."""


def _round(value: float) -> float:
    return float(f"{value:.4g}")
