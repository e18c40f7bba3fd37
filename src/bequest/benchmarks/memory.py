"""Memory beyond the model while it is scored, journaled, written and read again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.benchmarks._side_by_side import machine, one_thread
from bequest.benchmarks.overhead import POSITION
from bequest.build.delivering import fill, save_weights
from bequest.build.models.mlp import Mlp
from bequest.build.tasks.digits import Digits
from bequest.core.stage import Stage
from bequest.lazy import torch
from bequest.runner.scoring import score_stage
from bequest.store.journal import Journal
from bequest.transfer.state import named_modules, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from bequest.core.live import Model

PROMISE = "at most 200 MB beyond a model of 1 GB"
MOST = 200e6
WIDTH, LAYERS = 7920, 5  # four square layers of 251 MB: also one of them twice would be too much
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def bench(width: int = WIDTH, layers: int = LAYERS, most: float = MOST) -> dict[str, Any]:
    """What each kind of work adds at its peak to a process that holds the model; Linux only.

    width, layers: of the model; most: bytes that may be added.
    """
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        rows = _measured(width, layers, Path(folder))
    return {
        "name": "memory",
        "promise": PROMISE,
        "kept": all(row["added"] <= most for row in rows),
        "rows": rows,
        "machine": machine(),
    }


def _measured(width: int, layers: int, folder: Path) -> list[dict[str, Any]]:
    """Each kind of work: bytes of the model, of the process before, and added at the peak."""
    task = Digits().load("digits")
    model = Mlp(hidden=[width] * layers).build(task.shape, task.kind, task.labels)
    held = sum(each.nbytes for each in model.module.state_dict().values())
    works = _works(model, task, folder)
    return [{"what": what, "model": held, **_added(work)} for what, work in works]


def _works(model: Model, task: Any, folder: Path) -> list[tuple[str, Callable[[], Any]]]:
    parts = state(named_modules(model))
    file = folder / "model.safetensors"

    def entry() -> Any:
        return Journal(folder, POSITION, {}).entry("fit", "model", {})

    def score() -> None:
        journal = Journal(folder / "s", POSITION, {})
        score_stage(Stage("scored", model), {"digits": task}, journal, _no_audit)

    return [
        ("a stage is scored", score),
        ("a fit keeps a checkpoint", lambda: entry().save_checkpoint({"modules": parts})),
        ("a fit goes on from it", lambda: entry().checkpoint({"modules": parts})),
        ("a fit is journaled", lambda: entry().commit({"modules": parts})),
        ("a fit is found in the journal", lambda: entry().result({"modules": parts})),
        ("the model is written", lambda: save_weights(model.module, file)),
        ("the model is read", lambda: fill(model.module, file)),
    ]


def _no_audit(*_: Any) -> Any:
    raise AssertionError("no task here is an audit")


def _added(work: Callable[[], Any]) -> dict[str, int]:
    _CLEAR.write_text("5")  # forget the largest size so far
    before = _now("VmRSS")
    with torch.no_grad():
        work()
    return {"before": before, "added": _now("VmHWM") - before}


def _now(name: str) -> int:
    """Bytes, as the kernel counts them."""
    (line,) = (each for each in _STATUS.read_text().splitlines() if each.startswith(name))
    return int(line.split()[1]) * 1024
