"""Data that are trained on and tested on: the same samples, and ones that are nearly the same."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from bequest.runner.doctor.finding import Finding, LeftOut
from bequest.runner.doctor.likeness import Unlike, nearly_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bequest.core.live import SplitName, Task
    from bequest.runner.doctor.chart import Chart
    from bequest.runner.doctor.finding import Severity

NAME = "leaking data"
SERIOUS = 0.01  # share of a test split
_SOURCE = (
    "Barz & Denzler 2020, Do We Train on Test Data?; Kapoor & Narayanan 2023, Leakage and the "
    "reproducibility crisis; the thresholds are ours"
)


def look(chart: Chart) -> Iterator[Finding | LeftOut]:
    """Test samples among what a step trains on, by content id and by likeness.

    Samples to be forgotten may be tested on, and must not be retained.
    """
    yield from chart.missing_tasks(NAME)
    tasks = chart.at_hand
    used = {name for step in chart.plan.steps for name in step.tasks}
    trained = [task for name, task in tasks.items() if name in used and task.purpose != "probe"]
    for source, target in product(trained, tasks.values()):
        yield from _tested(chart, source, target)
        if source.purpose == "retain" and target.purpose == "forget":
            yield from _retained(source, target)


def _tested(chart: Chart, source: Task, target: Task) -> Iterator[Finding | LeftOut]:
    if target.purpose == "forget" or source.purpose == "forget":
        return
    for name, later in target.splits.items():
        if name in ("train", "unlabelled") or (name == "validation" and source is not target):
            continue
        train = source.splits["train"]
        same = np.isin(later.ids, train.ids)
        if same.any() and not (_on_itself(chart, source) or _on_itself(chart, target)):
            yield _finding(source, target, name, same, "the same content id")
        elif same.any():
            yield _intended(source, target, same)
        if source is target or _apart(chart, source, target):
            yield from _nearly(source, target, name, same)


def _apart(chart: Chart, source: Task, target: Task) -> bool:
    """Whether two tasks with inputs alike were divided apart: parts of one entry never are."""
    entries = chart.plan.entries
    alike = source.kind == target.kind and source.shape == target.shape
    return alike and entries[source.name] != entries[target.name]


def _nearly(
    source: Task, target: Task, name: SplitName, same: NDArray[np.bool_]
) -> Iterator[Finding | LeftOut]:
    train, later = source.splits["train"], target.splits[name]
    rows = np.flatnonzero(~same)
    if not len(rows) or not len(train):
        return
    try:
        like, about = nearly_in(later, rows, train)
    except Unlike as why:
        if source is target:
            yield LeftOut(f"{NAME} (near duplicates)", f"`{target.name}`: {why}")
        return
    if like.any():
        yield _finding(source, target, name, like, about)


def _retained(source: Task, target: Task) -> Iterator[Finding]:
    shared = np.isin(target.splits["train"].ids, source.splits["train"].ids)
    if shared.any():
        yield Finding(
            NAME,
            "serious",
            {"task": target.name},
            f"{int(shared.sum())} of {len(shared)} samples to be forgotten also stand in what "
            f"`{source.name}` retains",
            "what shall be forgotten is learned again, and `gold` has seen it",
            f"take them out of `{source.name}`",
            {"shared": float(shared.sum()), "share": float(shared.mean())},
        )


def _finding(
    source: Task, target: Task, name: SplitName, found: NDArray[np.bool_], how: str
) -> Finding:
    share = float(found.mean())
    severity: Severity = "serious" if share >= SERIOUS and name == "test" else "minor"
    own = source is target
    return Finding(
        NAME,
        severity,
        {"task": target.name},
        f"{int(found.sum())} of {len(found)} {name} samples of `{target.name}` ({share:.1%}) also "
        f"stand in the training samples of {'its own' if own else f'`{source.name}`'}: {how}",
        f"the {name} score tells what was memorised, and is too high for new samples",
        "divide by what belongs together (`group_column` where the task has it) so that copies "
        "stay on one side, or take them out of the training file",
        {"shared": float(found.sum()), "share": share},
        _SOURCE,
    )


def _intended(source: Task, target: Task, same: NDArray[np.bool_]) -> Finding:
    return Finding(
        NAME,
        "note",
        {"task": target.name},
        f"{int(same.sum())} of {len(same)} test samples of `{target.name}` are training samples "
        f"of `{source.name}`: facts are tested on themselves (`held_out: false`)",
        "that is no leak, but its scores tell what was memorised and nothing of other facts",
        "write `held_out: true` to ask for facts that were not trained on",
        {"shared": float(same.sum()), "share": float(same.mean())},
    )


def _on_itself(chart: Chart, task: Task) -> bool:
    spec = chart.plan.tasks[chart.plan.entries[task.name]]
    return getattr(spec, "held_out", True) is False
