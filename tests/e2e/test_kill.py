"""Killed at any moment and resumed, a run ends with the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys

import dying
import kills
import pytest
from dying import ENVIRONMENT, command, contents, start

MOMENTS = 10


def kill_after(seconds, *words):
    """Whether the process group had to be killed; otherwise the run came to its end."""
    process = start(*words)
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0, said
    return False


def go_on(recipe, folder):
    """The words that begin the run or go on with it."""
    words = ["run", recipe, "--out", folder]
    return [*words, "--resume"] if (folder / "run.json").exists() else words


def survive(whole, folder, moments):
    """Kill at each of the moments (shares of a whole run), begin again when it is done."""
    kills, runs = 0, [folder / "0"]
    for moment in moments:
        if not runs[-1].joinpath("run.json").exists():
            code, said = command("run", whole.recipe, "--out", runs[-1], "--resume")
            assert (code, "there is no run to resume" in said) == (2, True)
        if kill_after(moment * whole.seconds, *go_on(whole.recipe, runs[-1])):
            kills += 1
        else:
            runs.append(folder / str(len(runs)))
    code, said = command(*go_on(whole.recipe, runs[-1]))
    assert code == 0, said
    assert kills >= len(moments) / 2
    for run in runs:
        assert contents(run) == whole.contents


def moments(count, seed):
    """Random shares of a run, the same in every test session; the imports take the first half."""
    draw = random.Random(seed)
    return [draw.uniform(0.05, 1) for _ in range(count)]


def test_killed_at_random_moments(longer, tmp_path):
    survive(longer, tmp_path, [0.1, *moments(2, seed=3)])


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["longer", "quickstart"])
def test_killed_at_many_random_moments(name, request, tmp_path):
    survive(request.getfixturevalue(name), tmp_path, moments(MOMENTS, seed=20))


@pytest.mark.long
@pytest.mark.parametrize("name", kills.NAMES)
def test_killed_and_resumed_runs_of_three_recipes_end_alike(name):
    words = [sys.executable, kills.__file__, "--ends", "6", "--only", name]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["identical"] == found["ends"] == 6 <= found["kills"]


def killed_between(recipe, folder, seed, most):
    """Kills of one run, each before a random one of its next `most` file operations."""
    words = [dying.__file__, recipe, folder, seed, most]
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["kills"]


def test_killed_between_writing_and_renaming_and_while_making_folders(tiny, tmp_path):
    assert killed_between(tiny.recipe, tmp_path / "run", seed=0, most=120) >= 8
    assert contents(tmp_path / "run") == tiny.contents


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("seed", "most"), [(4, 80), (5, 400)])
def test_killed_between_file_operations_again_and_again(seed, most, tiny, tmp_path):
    assert killed_between(tiny.recipe, tmp_path / "run", seed, most) >= 2
    assert contents(tmp_path / "run") == tiny.contents
