"""Moments within the learning of a task: what they show, and all that they must not change."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import workbench
from rich.console import Console

import bequest
from bequest.build.heads import NotLearned
from bequest.core.errors import RequestError, RunError
from bequest.core.find import find
from bequest.lazy import torch
from bequest.methods.continual._moments import Moments
from bequest.recipe.check import load
from bequest.report.page.sequences import courses
from bequest.report.terminal import _matrix_table, sequences_table
from bequest.runner.preparing import inspect, prepare
from bequest.store.journal import Entry

METHODS = ("sequential", "replay", "ewc", "lwf", "gpm", "trgp", "cuber")
MARKS = (0, 1, 4)
INPUTS = torch.arange(40.0).reshape(10, 4) / 40


def tasks():
    return [workbench.task(name, seed=number) for number, name in enumerate(("one", "two"))]


def shown(folder, method, settings=None, marks=MARKS, **fields):
    """The answers of every stage to some inputs, by the stage's name."""
    bench = workbench.bench(folder, tasks=tasks(), settings=settings)
    found = {}
    for stage in find("methods", method)(checkpoints=marks, **fields).transfer(bench):
        for name in stage.on or ("one", "two"):
            with suppress(NotLearned):
                asked = stage.model.for_task if hasattr(stage.model, "for_task") else None
                answers = (asked(name) if asked else stage.model).logits(INPUTS)
                found[stage.name, name] = answers.detach().clone()
    return found


def sgd(**changes):
    return workbench.fit_settings(optimizer={"use": "sgd", "lr": 0.1}, **changes)


@pytest.mark.parametrize("method", METHODS)
def test_a_moment_is_the_model_of_a_fit_that_ended_there(tmp_path, method):
    found = shown(tmp_path / "a", method, sgd())
    assert list(found)[:4] == [
        ("one-step-0", "one"), ("one-step-1", "one"), ("one-step-4", "one"), ("after-one", "one"),
    ]  # fmt: skip
    assert torch.equal(found["one-step-0", "one"], workbench.model().logits(INPUTS))
    assert torch.equal(found["two-step-0", "one"], found["after-one", "one"])
    for steps in (1, 4):
        short = shown(tmp_path / str(steps), method, sgd(steps=steps), marks=())
        assert torch.equal(found[f"one-step-{steps}", "one"], short["after-one", "one"])
    assert not torch.equal(found["two-step-4", "two"], found["after-two", "two"])


@pytest.mark.parametrize("method", METHODS)
def test_looking_changes_nothing_in_what_is_learned(tmp_path, method):
    looked = shown(tmp_path / "a", method, sgd())
    plain = shown(tmp_path / "b", method, sgd(), marks=())
    assert plain
    assert all(torch.equal(looked[stage], plain[stage]) for stage in plain)


def test_effective_weights_of_a_task_are_those_of_the_moment(tmp_path):
    fields = {"threshold": 0.5, "sufficient_projection": 0.0}
    found = shown(tmp_path, "trgp", sgd(epochs=10), marks=(0, 1, 4, 20), **fields)
    answers = [found[f"two-step-{steps}", "two"] for steps in (0, 1, 4, 20)]
    # Before the first step the scaling matrices are identities: the task has the plain weights.
    assert torch.allclose(answers[0], found["after-one", "one"], atol=1e-6)
    assert all(not torch.equal(answers[0], later) for later in answers[1:])


def test_with_heads_only_tasks_learned_so_far_are_asked(tmp_path):
    found = shown(tmp_path, "sequential", heads="per_task", marks=(0,))
    assert [key for key in found if "step" in key[0]] == [
        ("one-step-0", "one"), ("two-step-0", "one"), ("two-step-0", "two"),
    ]  # fmt: skip


def test_a_fit_that_was_shorter_is_said():
    moments = Moments([0, 3], workbench.model())
    with pytest.raises(RunError, match="ended before step 3"):
        list(moments.again())


class Killed(BaseException):
    """Stands for a process that ends at once."""


def recipe(method="sequential", **more):
    more = {"checkpoints": list(MARKS)} | more
    cloud = {"use": "toys:Cloud"}
    return {
        "models": {"student": {"use": "mlp", "hidden": [4], "bias": False}},
        "tasks": {"a": cloud, "b": {**cloud, "shift": 1.0}, "c": {**cloud, "shift": 2.0}},
        "method": {"use": method, **more},
        "fit": {"epochs": 2, "batch_size": 16, "checkpoint_seconds": 0,
                "optimizer": {"use": "sgd", "lr": 0.1}},
    }  # fmt: skip


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("method", ["sequential", "trgp"])
def test_an_interrupted_fit_keeps_its_moments(method, monkeypatch):
    bequest.run(recipe(method), out="whole")
    save, saved = Entry.save_checkpoint, []

    def dying(entry, state):
        save(entry, state)
        saved.append(state["step"])
        if len(saved) == 14:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Entry, "save_checkpoint", dying)
        bequest.run(recipe(method), out="cut")
    assert saved[-3:] == [1, 2, 3], "inside the second fit, with two of three moments taken"
    bequest.run(recipe(method), out="cut", resume=True)
    assert Path("cut/metrics.json").read_bytes() == Path("whole/metrics.json").read_bytes()
    one, other = (pq.read_table(f"{out}/outcomes.parquet") for out in ("cut", "whole"))
    assert one.equals(other), "all but the seconds, which are no columns"


@pytest.mark.usefixtures("workdir")
def test_metrics_within_tasks_are_those_of_the_outcomes():
    marks = [0, 1, 2, 3]
    run = bequest.run(recipe(checkpoints=marks), out="run")
    plain = bequest.run(recipe(checkpoints=[]), out="plain")
    metrics, before = (
        json.loads(Path(out, "metrics.json").read_text()) for out in ("run", "plain")
    )
    (known,), (other,) = metrics["sequences"], before["sequences"]
    assert known["R"] == other["R"], "measuring more often changes nothing"
    assert "was not measured within tasks" in other["skipped"]["lca"]
    assert len(metrics["changes"]) == len(before["changes"])
    assert len(metrics["contrasts"]) == len(before["contrasts"])

    rows = {row.name: number for number, row in enumerate(run.matrix.rows)}
    outcomes = run.matrix.cells.outcomes

    def score(row, task):
        return float(outcomes[rows[row], task, 0].columns["correct"].mean())

    lca = np.mean([score(f"{task}-step-{m}", task) for task in "abc" for m in marks])
    worst = [
        min([score(f"after-{later}", task) for later in after]
            + [score(f"{later}-step-{m}", task) for later in after for m in marks[1:]])
        for task, after in (("a", "bc"), ("b", "c"))
    ]  # fmt: skip
    last = score("after-c", "c")
    values = {name: found["value"] for name, found in known["metrics"].items()}
    assert values["lca"] == pytest.approx(lca)
    assert values["min_accuracy"] == pytest.approx(np.mean(worst))
    assert values["wc_accuracy"] == pytest.approx(last / 3 + 2 / 3 * np.mean(worst))
    assert values["libero_fwt"] > 0

    moments = [row for row in run.matrix.rows if row.checkpoint is not None]
    start = {"a": rows["student"], "b": rows["after-a"], "c": rows["after-b"]}
    assert len(moments) == 12
    assert all(row.after == start[row.name[0]] for row in moments)
    assert plain.matrix.rows[-1].name == run.matrix.rows[-1].name == "after-c"


@pytest.mark.usefixtures("workdir")
def test_tables_and_the_page_show_stages_and_draw_moments_between_them():
    run = bequest.run(recipe(), out="run")
    assert _matrix_table(run.matrix, run.matrix.tasks).row_count == 4
    console = Console(width=300, record=True, file=None, quiet=False)
    with console.capture() as printed:
        console.print(sequences_table(run.matrix))
    assert "worst on the way" in printed.get()
    (course,) = courses(run.matrix.rows)
    assert [len(within) for within in course.moments] == [2, 2, 2], "0 is the stage before"
    places = [place for place, _ in course.places()]
    assert places == pytest.approx(sorted(places))
    assert places[:4] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    page = Path("run", "report.html").read_text()
    heat = page.partition('id="heat"')[2].partition("</table>")[0]
    assert "after-b" in heat
    assert "b-step-1" not in heat
    assert page.count("b-step-1") == 1, "only as a row of the data, which count all rows"
    assert "Every task within the learning of each" in page


def refused(given):
    with pytest.raises(RequestError) as caught:
        prepare(*inspect(given))
    return str(caught.value)


@pytest.mark.parametrize("wrong", [[1, 0], [1, 1]])
def test_checkpoints_must_rise(wrong):
    assert "method.checkpoints: must rise" in refused(recipe(checkpoints=wrong))


def test_checkpoints_beyond_the_fit_are_refused_before_work_starts():
    said = refused(recipe(checkpoints=[0, 13]))
    assert "method.checkpoints: the model can't be measured after 13 steps" in said
    assert "the fit on `a` has 12; ask for at most 12, or train longer" in said
    prepare(*inspect(recipe(checkpoints=[12])))


@pytest.mark.parametrize("method", ["joint", "single"])
def test_methods_without_one_fit_a_task_have_no_checkpoints(method):
    with pytest.raises(RequestError, match="checkpoints"):
        load(recipe(method))
