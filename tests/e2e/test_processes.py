"""One run by several processes: the losses of one, and what happens when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from dying import ENVIRONMENT, command, fitting, record, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

RECIPE = """
schema: 1
models:
  teacher: {use: mlp, hidden: [32]}
  student: {use: mlp, hidden: [8]}
tasks:
  digits: {use: digits}
  parts: {use: class_splits, of: {use: digits}, parts: 2}
steps:
  - {name: teach, method: {use: finetune}, models: {student: teacher}, tasks: [digits]}
  - name: distil
    method: {use: kd}
    models: {teacher: teach.student, student: student}
    tasks: [digits]
  - name: sequence
    method: {use: ewc, strength: 10}
    models: {student: student}
    tasks: [parts]
fit:
  epochs: EPOCHS
  batch_size: 65
  optimizer: {use: sgd, lr: 0.05}
  clip_norm: 5
  checkpoint_seconds: SECONDS
seeds: [0]
gate: [accuracy(digits) >= 0]
"""
SHORT = RECIPE.replace("EPOCHS", "3").replace("SECONDS", "5")
LONG = RECIPE.replace("EPOCHS", "60").replace("SECONDS", "0.2")
MARK = "BEQUEST_RUN_OF_A_TEST"
LAUNCH = (
    "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines",
    "1", "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no", "-m",
)  # fmt: skip


def launched(recipe, folder, *words):
    """The run by two processes, in a process group of its own."""
    run = ["bequest", "run", recipe, "--out", folder, "--device", "cpu", "--json", *words]
    return subprocess.Popen(
        [sys.executable, *LAUNCH, *map(str, run)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**ENVIRONMENT, MARK: str(folder)}, start_new_session=True,
    )  # fmt: skip


def ended(process):
    """Exit code, what was printed, what was said."""
    printed, said = process.communicate(timeout=240)
    return process.returncode, printed, said


def written(folder, text):
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def course(folder):
    """All values and shares of all curves, and the accuracies."""
    curves = pq.read_table(folder / "curves.parquet").to_pydict()
    metrics = json.loads((folder / "metrics.json").read_text())
    scores = [cell["value"] for cell in metrics["cells"] if cell["metric"] == "accuracy"]
    shares = np.array(curves["share"], dtype=float)
    return np.array(curves["value"]), shares, np.array(scores, dtype=float)


def same_course(one, other):
    for mine, theirs in zip(course(one), course(other), strict=True):
        assert len(mine)
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def working(folder):
    """The processes that work on a run, by rank; the launcher gives each a session of its own."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            pairs = [one.partition("=")[::2] for one in (path / "environ").read_text().split("\0")]
        except OSError:
            continue
        words = dict(pairs)
        if words.get(MARK) == str(folder) and "LOCAL_RANK" in words:
            found[int(words["RANK"])] = int(path.name)
    return found


def kill_all(process, folder):
    """The launcher and both that work, at once."""
    for pid in (process.pid, *working(folder).values()):
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def test_two_processes_find_what_one_finds(tmp_path):
    recipe = written(tmp_path, SHORT)
    code, said = command("run", recipe, "--out", tmp_path / "one", "--device", "cpu")
    assert code == 0, said
    code, printed, said = ended(launched(recipe, tmp_path / "two"))
    assert code == 0, said
    assert json.loads(printed)["verdict"]["passed"]
    same_course(tmp_path / "one", tmp_path / "two")
    assert not (tmp_path / "two" / "journal").exists()
    assert record(tmp_path / "two")["machine"]["processes"] == 2


def test_a_gate_that_says_no_ends_with_code_1_in_both(tmp_path):
    recipe = written(tmp_path, SHORT.replace(">= 0]", "<= 0]"))
    _, printed, said = ended(launched(recipe, tmp_path / "run"))
    assert not json.loads(printed)["verdict"]["passed"]
    assert "exitcode  : 1" in said


def test_killed_together_they_go_on_and_so_does_one_alone(tmp_path):
    recipe = written(tmp_path, LONG)
    code, said = command("run", recipe, "--out", tmp_path / "whole", "--device", "cpu")
    assert code == 0, said
    process = launched(recipe, tmp_path / "run")
    wait_for(lambda: fitting(tmp_path / "run"), process)
    kill_all(process, tmp_path / "run")
    assert record(tmp_path / "run")["status"] == "running"
    process = launched(recipe, tmp_path / "run", "--resume")
    wait_for((tmp_path / "run" / "models" / "teach").exists, process)
    kill_all(process, tmp_path / "run")
    words = ["run", recipe, "--out", tmp_path / "run", "--device", "cpu", "--resume"]
    code, said = command(*words)
    assert code == 0, said
    assert "processes: 2 -> 1" in said
    same_course(tmp_path / "whole", tmp_path / "run")


@pytest.mark.parametrize("rank", [0, 1])
def test_when_one_dies_the_other_ends_and_the_folder_can_be_gone_on_with(rank, tmp_path):
    recipe = written(tmp_path, LONG)
    process = launched(recipe, tmp_path / "run")
    wait_for(lambda: fitting(tmp_path / "run"), process)
    os.kill(working(tmp_path / "run")[rank], signal.SIGKILL)
    assert ended(process)[0] != 0
    assert not working(tmp_path / "run")
    assert record(tmp_path / "run")["status"] in ("running", "stopped")
    code, _, said = ended(launched(recipe, tmp_path / "run", "--resume"))
    assert code == 0, said
