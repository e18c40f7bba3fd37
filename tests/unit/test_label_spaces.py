"""Tasks with other labels than each other, learned with one head each."""

import numpy as np
import pytest

import bequest
from bequest.core.errors import RequestError
from bequest.runner.dry import dry_run
from bequest.runner.preparing import inspect, prepare


@pytest.fixture
def recipe(workdir):
    """Two tables with the same columns: one asks for a colour, one for a shape."""
    rng = np.random.default_rng(0)
    for name, column, labels in (("colour", 0, ("blue", "red")), ("shape", 1, ("round", "square"))):
        values = rng.normal(size=(120, 2)) + 4 * rng.integers(0, 2, (120, 2))
        lines = [f"{a:.4f},{b:.4f},{labels[int((a, b)[column] > 2)]}" for a, b in values]
        (workdir / f"{name}.csv").write_text("\n".join(["x,y,label", *lines]) + "\n")
    return {
        "models": {"student": {"use": "mlp", "hidden": [16]}},
        "tasks": {name: {"use": "csv", "path": f"{name}.csv"} for name in ("colour", "shape")},
        "method": {"use": "sequential", "heads": "per_task"},
        "fit": {"epochs": 8, "batch_size": 16, "optimizer": {"lr": 0.02}},
    }


def test_each_head_answers_with_the_labels_of_its_task(recipe):
    run = bequest.run(recipe, out="run")
    last = len(run.matrix.rows) - 1
    assert run.matrix.value("accuracy", last, "shape").value > 0.9
    outcomes = run.matrix.cells.outcomes[last, "shape", 0]
    said = {outcomes.labels[index] for index in outcomes.columns["predicted"].tolist()}
    assert outcomes.labels == ("blue", "red", "round", "square")
    assert said == {"round", "square"}
    first = next(i for i, row in enumerate(run.matrix.rows) if row.learned == "colour")
    assert run.matrix.value("accuracy", first, "colour").value > 0.9


def test_a_dry_run_names_each_tasks_own_labels(recipe):
    found = dry_run(prepare(*inspect(recipe)))
    assert {task.task: task.labels for task in found.tasks} == {
        "colour": ["blue", "red"],
        "shape": ["round", "square"],
    }


def test_with_one_head_for_all_other_labels_are_refused(recipe):
    recipe["method"] = {"use": "sequential"}
    with pytest.raises(RequestError, match=r"labels differ from those of `colour`.*per_task"):
        prepare(*inspect(recipe))
