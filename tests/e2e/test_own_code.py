"""Mistakes in a user's own code and unlucky numbers: a line that says where, never a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from dying import TINY, record, said_by

import bequest
from bequest.cli import main
from bequest.core.errors import (
    NotFinite,
    ReplayDiverged,
    RequestError,
    RunBusy,
    RunError,
    StaleCache,
    StoreError,
)
from bequest.runner.work import _digest_of

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_loss_that_is_no_number(tiny, tmp_path, capsys):
    folder = tmp_path / "run"
    rate = ["--set", "fit.optimizer.lr=1e30"]
    code, said = said_by(capsys, "run", tiny.recipe, "--out", folder, *rate)
    assert code == 3
    assert "loss term `hard` became" in said
    assert "at step 1; try a lower fit.optimizer.lr" in said
    assert "lower fit.optimizer.lr" in said
    assert record(folder)["status"] == "stopped"
    code, said = said_by(capsys, "gate", folder)
    assert (code, "isn't finished: loss term `hard`" in said) == (2, True)
    with pytest.raises(NotFinite):
        bequest.run(tiny.recipe, out=folder, resume=True, overrides=rate[1:])


METHOD = """
from bequest import Method, Stage

class Mine(Method):
    source = "nowhere"

    def transfer(self, bench):
        student = bench.model("student")
        bench.remember("something", lambda: 1)
        HERE  # line 10
        yield Stage("done", student)
"""
RECIPE = """
models: {student: {use: mlp, hidden: [4]}}
tasks: {wine: {use: wine}}
method: {use: "NAME:Mine"}
"""


@pytest.fixture
def own(workdir, request):
    """Writes a method of the user's own under a name of its own, and a recipe for it."""
    name = f"own_{abs(hash(request.node.name))}"

    def write(here):
        (workdir / f"{name}.py").write_text(METHOD.replace("HERE", here))
        recipe = workdir / "recipe.yaml"
        recipe.write_text(RECIPE.replace("NAME", name))
        return recipe

    yield write
    forget_imports()
    sys.path[:] = [path for path in sys.path if path != str(workdir)]


def forget_imports():
    """What another process would not know: the user's modules, and how they were written."""
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]
    _digest_of.cache_clear()


@pytest.mark.parametrize(
    ("here", "said"),
    [
        ("raise ValueError('no such thing\\nat all')", "ValueError: no such thing, in "),
        ("student.logits(None)", "AttributeError: "),
        ("raise SystemExit(0)", "SystemExit: 0"),
    ],
)
def test_an_error_in_a_users_method_is_one_line_and_a_traceback_in_the_log(
    here, said, own, workdir, capsys
):
    recipe = own(here)
    code, told = said_by(capsys, "run", recipe, "--out", "run")
    assert code == 3
    assert said in told
    assert ".py:10; the traceback is in run/log.jsonl" in told
    log = (workdir / "run/log.jsonl").read_text().splitlines()
    assert "Traceback" in log[-1]
    assert record(workdir / "run")["status"] == "stopped"
    with pytest.raises(RunError) as caught:
        bequest.run(recipe, out="run", resume=True)
    assert caught.value.__cause__ is not None


def test_an_edited_method_is_noticed(own, workdir, capsys):
    recipe = own("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        bequest.run(recipe, out="run")
    own("pass  # edited")
    forget_imports()
    code, said = said_by(capsys, "run", recipe, "--out", "run", "--resume")
    assert code == ReplayDiverged.exit_code
    assert "0000-remember-something was made with other inputs (method source: " in said


MODEL = """
import torch

def net(shape, labels):
    return torch.nn.Sequential(torch.nn.Linear(shape[0], len(labels)), torch.nn.SLOPE())
"""


def test_an_edited_model_is_noticed(own, workdir, capsys):
    recipe = own("raise KeyboardInterrupt")
    recipe.write_text(recipe.read_text().replace("{use: mlp, hidden: [4]}", "{use: 'own_net:net'}"))
    (workdir / "own_net.py").write_text(MODEL.replace("SLOPE", "Tanh"))
    with pytest.raises(KeyboardInterrupt):
        bequest.run(recipe, out="run")
    (workdir / "own_net.py").write_text(MODEL.replace("SLOPE", "Sigmoid"))
    forget_imports()
    code, said = said_by(capsys, "run", recipe, "--out", "run", "--resume")
    assert code == ReplayDiverged.exit_code
    assert "made with other inputs (source of models and tasks: " in said


def test_an_error_in_a_users_task_names_it(workdir, capsys):
    (workdir / "own_task_that_fails.py").write_text(
        "from bequest import TaskSpec\n"
        "class Broken(TaskSpec):\n"
        "    def load(self, name):\n"
        "        raise KeyError('column')\n"
    )
    recipe = workdir / "recipe.yaml"
    recipe.write_text(TINY.replace("{use: wine}", "{use: 'own_task_that_fails:Broken'}"))
    code, said = said_by(capsys, "run", recipe, "--out", "run")
    assert code == 3
    assert "KeyError: 'column', in own_task_that_fails.py:4 (tasks.wine); the traceback is" in said
    trace = said.partition("traceback is in ")[2].strip()
    assert "raise KeyError" in Path(trace).read_text()
    Path(trace).unlink()
    assert not (workdir / "run").exists()


@pytest.mark.parametrize(
    "error", [RequestError, RunBusy, RunError, NotFinite, ReplayDiverged, StaleCache, StoreError]
)
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_every_error_of_ours_is_a_message(error, words, capsys, monkeypatch):
    def fail(*args):
        raise error("what to do about it")

    monkeypatch.setattr("bequest.core.find.known", fail)
    monkeypatch.setattr(sys, "argv", ["bequest", "list", "methods", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == error.exit_code
    assert "what to do about it" in (said.out if words else said.err)
    assert "Traceback" not in said.out + said.err


def test_a_rule_that_cannot_be_judged_fails_the_gate_and_keeps_the_finished_work(
    tiny, tmp_path, capsys
):
    folder = tmp_path / "run"
    rule = ["--set", 'gate=["accuracy(wine) @ teach.nothing >= 0"]']
    code, said = said_by(capsys, "run", tiny.recipe, "--out", folder, *rule)
    assert (code, "teach.nothing" in said) == (2, True)
    assert record(folder)["status"] == "finished"
    assert record(folder)["verdict"]["passed"] is False
    assert "could not be judged" in (folder / "report.html").read_text()
    others = tmp_path / "rules.txt"
    others.write_text("accuracy(wine) >= 0\n")
    code, said = said_by(capsys, "gate", folder, "--rules", others)
    assert code == 0, said
