"""Commands that only look at things never import torch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from bequest.core.outcomes import Outcomes
from bequest.measure import parquet
from bequest.measure.rows import Row
from bequest.measure.table import Cells

BLOCKED = "import sys; sys.modules['torch'] = None; from bequest.cli import main; main()"
WRONG = "models: {m: {use: mpl}}\ntasks: {t: {use: wine}}\nmethod: {use: finetune}\n"


def bequest(*words, folder):
    command = [sys.executable, "-c", BLOCKED, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def finished(tmp_path):
    """The folder of a run with one stage, right on three samples of four."""
    correct = {"correct": np.array([True, True, True, False])}
    cells = Cells(
        (Row("step", "trained", "student"),), ("digits",), (0,),
        {(0, "digits", 0): Outcomes(np.arange(4), correct)},
    )  # fmt: skip
    folder = tmp_path / "run"
    folder.mkdir()
    parquet.write(cells, folder / "outcomes.parquet")
    record = {"name": "run", "status": "finished", "recipe": {"gate": ["accuracy(digits) >= 0.9"]}}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


@pytest.mark.parametrize("words", [["--help"], ["list"], ["schema"], ["bench"]])
def test_looking_around_needs_no_torch(words, tmp_path):
    done = bequest(*words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_recipe_with_mistakes_is_refused_without_torch(tmp_path):
    (tmp_path / "wrong.yaml").write_text(WRONG)
    done = bequest("run", "wrong.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert "models.m.use: unknown model `mpl`" in done.stderr


def test_a_finished_run_is_judged_without_torch(finished, tmp_path):
    done = bequest("gate", "run", "--json", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["rules"][0]["value"] == 0.75


def test_the_block_works(tmp_path):
    done = bequest("run", "quickstart", folder=tmp_path)
    assert "import of torch halted" in done.stderr
