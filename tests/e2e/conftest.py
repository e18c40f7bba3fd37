"""Runs that nothing disturbed, to compare with, and one that was killed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from dying import LONGER, TINY, command, contents

import bequest
from bequest.store.journal import Entry


class Whole:
    """A recipe, how long its run takes in all, and what it ends with."""

    def __init__(self, recipe, folder):
        began = time.monotonic()
        code, said = command("run", recipe, "--out", folder)
        self.seconds = time.monotonic() - began
        assert code == 0, said
        self.recipe, self.contents = recipe, contents(folder)


def _whole(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("whole")
    recipe = folder / "recipe.yaml"
    recipe.write_text(text)
    return Whole(recipe, folder / "run")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Hundreds of file operations in half a second of work."""
    return _whole(tmp_path_factory, TINY)


@pytest.fixture(scope="session")
def longer(tmp_path_factory):
    """Four fits of about half a second, with checkpoints inside."""
    return _whole(tmp_path_factory, LONGER)


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory):
    """What a new user runs first."""
    return Whole("quickstart", Path(tmp_path_factory.mktemp("whole")) / "run")


class Killed(BaseException):
    """Stands for a process that ends at once."""


@pytest.fixture
def one_thread():
    """The same sums as in the runs to compare with."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def cut(tiny, tmp_path, monkeypatch):
    """A run of the tiny recipe that was killed inside the first fit of its second step."""
    save = Entry.save_checkpoint

    def dying(entry, state):
        save(entry, state)
        if "distil" in str(entry.folder) and state["step"] == 10:
            raise Killed

    folder = tmp_path / "cut"
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Entry, "save_checkpoint", dying)
        bequest.run(tiny.recipe, out=folder)
    return folder
