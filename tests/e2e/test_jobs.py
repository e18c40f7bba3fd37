"""Seeds spread over processes: the same bits, and nothing left when something ends too early."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from dying import LONGER, command, contents, record, start, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

FAILING = """
from bequest import Method, RunError, Stage


class Mine(Method):
    '''Fails under its second seed.'''

    def transfer(self, bench):
        if bench.seed == 1:
            raise ERROR
        yield Stage("unchanged", bench.model())
"""


def children(pid):
    """Processes that a process started to work, without what keeps track of them."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            words = (path / "cmdline").read_text()
        except OSError:
            continue
        if parent == pid and "spawn_main" in words:
            found.append(int(path.name))
    return found


def alive(pids):
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()
            and ") Z " not in Path(f"/proc/{pid}/stat").read_text()]  # fmt: skip


def fitting(folder):
    return any((folder / "journal").glob("seed-*/*/*.checkpoint"))


def started(longer, folder):
    process = start("run", longer.recipe, "--out", folder, "--jobs", 2)
    wait_for(lambda: fitting(folder), process)
    pids = children(process.pid)
    assert len(pids) == 2
    return process, pids


def go_on(longer, folder, *words):
    code, said = command("run", longer.recipe, "--out", folder, "--resume", *words)
    assert code == 0, said
    assert contents(folder) == longer.contents
    return said


def test_spread_over_processes_a_run_has_the_same_bits(tiny, tmp_path):
    words = ["run", tiny.recipe, "--out", tmp_path / "run", "--jobs", 2]
    code, said = command(*words)
    assert code == 0, said
    assert contents(tmp_path / "run") == tiny.contents
    for seed in (0, 1):
        assert f"distil · seed {seed}: done in" in said


@pytest.mark.parametrize(("ended_by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_ends_a_run_ends_its_workers_too(longer, tmp_path, ended_by, code):
    process, pids = started(longer, tmp_path / "run")
    os.killpg(process.pid, ended_by)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "go on with: bequest run" in said
    assert "Traceback" not in said
    assert not alive(pids)
    go_on(longer, tmp_path / "run", "--jobs", 2)


def test_workers_end_with_the_run_and_hold_its_folder_until_then(longer, tmp_path):
    process, pids = started(longer, tmp_path / "run")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    words = ["run", longer.recipe, "--out", tmp_path / "run", "--resume"]
    code, said = command(*words)
    assert (code, "is writing to" in said) == (2, True)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    process.communicate(timeout=60)  # ends when nobody holds its output any more
    go_on(longer, tmp_path / "run")


def test_a_worker_that_is_killed_ends_the_run_in_words(longer, tmp_path):
    process, pids = started(longer, tmp_path / "run")
    os.kill(pids[0], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "a worker ended without a word (exit code -9)" in said
    assert not alive(pids)
    assert record(tmp_path / "run")["status"] == "stopped"
    go_on(longer, tmp_path / "run", "--jobs", 2)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        ("RunError('it was mine')", 3, "it was mine"),
        ("KeyError('mine')", 3, "KeyError: 'mine', in mine.py:10"),
    ],
)
def test_what_a_worker_raises_is_what_the_run_says(error, code, words, workdir):
    (workdir / "mine.py").write_text(FAILING.replace("ERROR", error))
    recipe = workdir / "recipe.yaml"
    text = LONGER.partition("steps:")[0].replace("  teacher: {use: mlp, hidden: [16]}\n", "")
    recipe.write_text(text + "method: {use: 'mine:Mine'}\nseeds: [0, 1]\n")
    ended, said = command("run", recipe, "--out", workdir / "run", "--jobs", 2)
    assert (ended, words in said) == (code, True), said
