"""Every check of a run, one after another."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from bequest.core.errors import StoreError
from bequest.runner.doctor.chart import Chart
from bequest.runner.doctor.finding import SEVERITIES, Diagnosis, Finding, LeftOut, NotAtHand
from bequest.runner.unexpected import in_a_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Look = Callable[[Chart], Iterator[Finding | LeftOut]]

# Those of the first read the run's files and need no torch; the others build its recipe again.
_OF_FILES = {
    "drowned term": "terms",
    "teacher in training mode": "modes",
    "vanishing gradient": "gradients",
    "too few samples": "samples",
}
_REBUILDING = {
    "leaking data": "leaks",
    "dead units, exploding activations": "activations",
}


def doctor(path: str | Path, *, files_only: bool = False) -> Diagnosis:
    """What ails a run, finished or not: diseases that its numbers don't show.

    path: the run's folder. files_only: leave out what builds its tasks and models again, which
    takes torch, the data, and any code of your own that the recipe names, and runs that code.

    Raises:
        RequestError: the folder holds no run.
    """
    chart = Chart(Path(path))
    found: list[Finding | LeftOut] = []
    checked = []
    for name, module in (_OF_FILES | _REBUILDING).items():
        if files_only and name in _REBUILDING:
            found.append(LeftOut(name, "only the run's files were to be read"))
            continue
        try:
            found += _look(module)(chart)
            checked.append(name)
        except (NotAtHand, StoreError) as why:
            found.append(LeftOut(name, str(why)))
        except Exception as error:  # noqa: BLE001 — whatever ails the run may break a check, too
            found.append(LeftOut(name, f"the check failed: {in_a_line(error)}"))
    findings = [one for one in found if isinstance(one, Finding)]
    return Diagnosis(
        chart.folder.path,
        str(chart.record.get("status", "")),
        str(chart.record.get("reason", "")),
        tuple(checked),
        tuple(sorted(findings, key=lambda one: SEVERITIES.index(one.severity))),
        tuple(dict.fromkeys(one for one in found if isinstance(one, LeftOut))),
    )


def _look(module: str) -> Look:
    look: Look = importlib.import_module(f"bequest.runner.doctor.{module}").look
    return look
