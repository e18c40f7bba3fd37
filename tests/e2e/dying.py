"""Runs that die: small recipes, what must survive, and file operations that fail on purpose.

As a script it is one run, killed again and again just before a file operation:
`dying.py RECIPE FOLDER SEED MOST` prints how often, as JSON.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import bequest
from bequest.cli import main

CHAIN = """
schema: 1
models:
  teacher: {use: mlp, hidden: [16]}
  student: {use: mlp, hidden: [4], dropout: 0.1}
tasks: {wine: {use: wine}}
steps:
  - {name: teach, method: {use: finetune}, models: {student: teacher}}
  - {name: distil, method: {use: kd}, models: {teacher: teach.student}}
fit: {epochs: EPOCHS, batch_size: 16, checkpoint_seconds: SECONDS}
seeds: [0, 1]
gate: [accuracy(wine) >= 0]
"""
TINY = CHAIN.replace("EPOCHS", "3").replace("SECONDS", "0")
LONGER = CHAIN.replace("EPOCHS", "200").replace("SECONDS", "0.05")

# One thread: the bits of a sum depend on how it is cut.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def contents(folder):
    """What must be the same bit for bit, after checking that nothing else was left behind."""
    left = [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".checkpoint"))]
    assert not left
    assert not (folder / "journal").exists()
    for line in (folder / "log.jsonl").read_text().splitlines():
        json.loads(line)
    models = sorted((folder / "models").rglob("*.safetensors"))
    assert models
    files = [folder / "metrics.json", folder / "outcomes.parquet", *models]
    texts = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    # what a run cost stands beside its outcomes, and is never twice the same
    texts.pop("outcomes.parquet")
    return texts


def record(folder):
    """What run.json says."""
    return json.loads((folder / "run.json").read_text())


def start(*words):
    """`bequest` in a process group of its own; it hears Ctrl-C even where these tests don't.

    What a shell starts in the background, or `nohup`, ignores SIGINT, and hands that on.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "bequest", *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)


def command(*words):
    """Exit code and standard error of a finished `bequest`."""
    process = start(*words)
    _, said = process.communicate(timeout=200)
    assert "Traceback" not in said
    return process.returncode, said


def said_by(capsys, *words):
    """Exit code and standard error of a command in this process."""
    with pytest.MonkeyPatch.context() as patched, pytest.raises(SystemExit) as ended:
        patched.setattr(sys, "argv", ["bequest", *map(str, words)])
        main()
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return ended.value.code or 0, said


def resume_here(whole, folder):
    """Go on in this process with a run of the tiny recipe, and check what it ends with."""
    again = (folder / "run.json").exists()
    bequest.run(whole.recipe, out=folder, resume=again)
    assert contents(folder) == whole.contents


def wait_for(ready, process, seconds=60):
    """Wait until `ready()`, while `process` lives."""
    end = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def fitting(folder):
    """Whether the run has taken steps."""
    log = folder / "log.jsonl"
    return log.exists() and '"fit"' in log.read_text()


GROWING = {"open", "os.mkdir", "os.rename"}
SHRINKING = {"os.remove", "os.rmdir", "shutil.rmtree"}


class FileOperations:
    """Counts what Python is about to change under `folder`; acts before the nth and later ones.

    kinds: audit events that count, and "open" only for writing.
    """

    def __init__(self, folder, nth, act, kinds=GROWING | SHRINKING):
        self.folder, self.nth, self.act, self.kinds = str(folder), nth, act, kinds
        self.count = 0
        self.active = False
        sys.addaudithook(self._hook)

    def __enter__(self):
        self.active = True
        return self

    def __exit__(self, *error):
        self.active = False

    def _hook(self, event, args):
        if not self.active or event not in self.kinds or self.folder not in str(args[0]):
            return
        if event == "open" and not _writes(*args):
            return
        self.count += 1
        if self.count >= self.nth:
            self.act(event)


def _writes(path, mode, flags):
    return any(letter in mode for letter in "wax") if mode else flags & (os.O_WRONLY | os.O_RDWR)


def _killed_before(recipe, folder, nth):
    """Whether a child died before its nth file operation; otherwise it ended the run."""
    child = os.fork()
    if not child:
        die = lambda event: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        with FileOperations(folder, nth, die):
            bequest.run(recipe, out=folder, resume=(folder / "run.json").exists())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def die_often(recipe, folder, seed, most):
    draw = random.Random(int(seed))
    with tempfile.TemporaryDirectory() as warm:  # what a run imports is imported once
        bequest.run(recipe, out=warm)
    for kills in itertools.count():
        if not _killed_before(recipe, Path(folder), draw.randint(1, int(most))):
            print(json.dumps({"kills": kills}))
            return


if __name__ == "__main__":
    die_often(*sys.argv[1:])
