"""Out of memory, a full disk, an edited cache, other versions, for models of texts too."""

from __future__ import annotations

import json
import subprocess
import sys

import kills
import pytest
from dying import ENVIRONMENT, GROWING, FileOperations, record, said_by

import bequest
from bequest.core.errors import RequestError, StaleCache, StoreError
from bequest.store.journal import Entry

pytestmark = [pytest.mark.usefixtures("one_thread")]
FULL = (StoreError, RequestError)


class Killed(BaseException):
    """Stands for a process that ends at once."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    recipe = kills.written("texts", folder)
    recipe.write_text(recipe.read_text().replace("epochs: 16", "epochs: 2").replace("0.05", "0"))
    return recipe


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    bequest.run(recipe, out=folder)
    return kills.end(folder)


@pytest.fixture
def cut(recipe, tmp_path, monkeypatch):
    """A run that was killed while the teacher's hidden states were in use."""
    save = Entry.save_checkpoint

    def dying(entry, state):
        save(entry, state)
        if "distil" in str(entry.folder):
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Entry, "save_checkpoint", dying)
        bequest.run(recipe, out=tmp_path / "cut")
    return tmp_path / "cut"


def go_on(recipe, folder, whole):
    bequest.run(recipe, out=folder, resume=(folder / "run.json").exists())
    assert kills.end(folder) == whole


def test_edited_hidden_states_are_refused(recipe, whole, cut):
    (cache,) = cut.glob("journal/seed-0/distil/*.npy")
    good = cache.read_bytes()
    cache.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(StaleCache, match="was changed since it was made; delete "):
        bequest.run(recipe, out=cut, resume=True)
    cache.write_bytes(good)
    go_on(recipe, cut, whole)


def test_a_package_that_was_upgraded_between_is_named(recipe, whole, cut, capsys):
    path = cut / "run.json"
    good, said = path.read_text(), record(cut)["versions"]["transformers"]
    path.write_text(good.replace(f'"transformers": "{said}"', '"transformers": "4.0"'))
    code, told = said_by(capsys, "run", recipe, "--out", cut, "--resume")
    assert (code, f'transformers: "4.0" -> "{said}"' in told) == (3, True)
    path.write_text(good)
    go_on(recipe, cut, whole)


def test_a_disk_that_is_full_at_any_of_some_writes(recipe, whole, tmp_path):
    def full(event):
        raise OSError(28, "No space left on device")

    folder = tmp_path / "run"
    for nth in (2, 9, 20, 31):
        again = (folder / "run.json").exists()
        with FileOperations(folder, nth, full, GROWING), pytest.raises(FULL, match="is full"):
            bequest.run(recipe, out=folder, resume=again)
    go_on(recipe, folder, whole)


LITTLE = """
import json, resource, sys
sys.path[:0] = {path!r}
import bequest, kills
from bequest.{module} import {name}
from bequest.core.errors import BequestError
bequest.run({recipe!r}, out={warm!r})
before = {owner}.{method}
def tight(*given, **named):
    size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 20), resource.RLIM_INFINITY))
    import torch
    torch.empty(1 << 28).fill_(1)
    return before(*given, **named)
{owner}.{method} = tight
try:
    bequest.run({recipe!r}, out={out!r})
except BequestError as error:
    print(json.dumps([error.exit_code, str(error)]))
"""
PLACES = [
    ("transfer.fit", "Fit", "Fit", "_one_step"),
    ("build.language", "LanguageModel", "LanguageModel", "complete"),
]


@pytest.mark.parametrize(("module", "name", "owner", "method"), PLACES)
def test_out_of_memory_is_a_clear_word_and_the_run_goes_on(
    module, name, owner, method, recipe, whole, tmp_path
):
    script = LITTLE.format(
        path=[path for path in sys.path if path], module=module, name=name, owner=owner,
        method=method, recipe=str(recipe), warm=str(tmp_path / "warm"), out=str(tmp_path / "run"),
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    code, said = json.loads(done.stdout.splitlines()[-1])
    assert code == 3
    assert "memory" in said
    assert record(tmp_path / "run")["status"] == "stopped"
    go_on(recipe, tmp_path / "run", whole)
