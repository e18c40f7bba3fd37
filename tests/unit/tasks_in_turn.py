"""Small tasks for methods that learn one after another."""

from __future__ import annotations

import workbench

from bequest.core.find import find

METHODS = ("sequential", "replay", "ewc", "lwf")
NAMES = ("one", "two", "three")


def tasks(names=NAMES):
    return [workbench.task(name, seed=number) for number, name in enumerate(names)]


def learned(folder, method, names=NAMES, **fields):
    """The weights after each stage of a method."""
    bench = workbench.bench(folder, tasks=tasks(names))
    stages = find("methods", method)(**fields).transfer(bench)
    return [workbench.weights(stage.model) for stage in stages], bench
