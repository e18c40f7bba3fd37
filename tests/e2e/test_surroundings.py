"""Hostile surroundings: a clear message, a valid folder, and the same bits in the end."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess

import pytest
from dying import (
    GROWING,
    FileOperations,
    command,
    contents,
    fitting,
    record,
    resume_here,
    said_by,
    start,
    wait_for,
)

import bequest
from bequest.core.errors import (
    RequestError,
    RunBusy,
    StoreError,
)
from bequest.store.folder import RunFolder

pytestmark = pytest.mark.usefixtures("one_thread")
FULL = "the disk is full"


# --- Ctrl-C, and two at once ---------------------------------------------------------------


def test_a_second_run_is_told_who_writes_there_and_ctrl_c_says_how_to_go_on(
    longer, tmp_path, capsys
):
    folder = tmp_path / "a run"
    process = start("run", longer.recipe, "--out", folder)
    wait_for(lambda: fitting(folder), process)
    process.send_signal(signal.SIGSTOP)  # so that it doesn't end before we have looked
    for words in ([], ["--resume"]):
        code, said = said_by(capsys, "run", longer.recipe, "--out", folder, *words)
        assert (code, f"process {process.pid} is writing" in said) == (2, True)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert (record(folder)["status"], record(folder)["reason"]) == ("stopped", "interrupted")
    code, judged = said_by(capsys, "gate", folder)
    assert (code, "isn't finished: interrupted" in judged) == (2, True)
    words = shlex.split(said.partition("go on with: ")[2])
    assert words[0] == "bequest"
    code, said = command(*words[1:])
    assert code == 0, said
    assert contents(folder) == longer.contents


def test_sigterm_says_how_to_go_on_and_loses_nothing(longer, tmp_path):
    folder = tmp_path / "run"
    process = start("run", longer.recipe, "--out", folder)
    wait_for(lambda: fitting(folder), process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in said
    assert (record(folder)["status"], record(folder)["reason"]) == ("stopped", "interrupted")
    words = shlex.split(said.partition("interrupted; go on with: ")[2])
    code, said = command(*words[1:])
    assert code == 0, said
    assert contents(folder) == longer.contents


def test_the_lock_is_looked_at_again_when_the_work_begins(tiny, tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "run")
    monkeypatch.setattr(RunFolder, "refuse_if_busy", lambda self: None)
    with folder, pytest.raises(RunBusy, match=f"process {os.getpid()} is writing"):
        bequest.run(tiny.recipe, out=folder.path)


def test_a_run_that_another_process_began_meanwhile_is_not_overwritten(tiny, tmp_path, monkeypatch):
    folder, claim = tmp_path / "run", RunFolder.__enter__

    def overtaken(self):
        monkeypatch.undo()
        bequest.run(tiny.recipe, out=folder)
        return claim(self)

    monkeypatch.setattr(RunFolder, "__enter__", overtaken)
    with pytest.raises(RequestError, match="already holds a run"):
        bequest.run(tiny.recipe, out=folder)
    assert contents(folder) == tiny.contents


# --- Disks ---------------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small file system; skips where that is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place],
                              capture_output=True, text=True)  # fmt: skip
        if done.returncode:
            pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
        return place

    yield mount
    # lazily: a caught error may still hold a memory-mapped file
    subprocess.run(["umount", "--lazy", place], capture_output=True)


@pytest.mark.parametrize("kib", [8, 24, 40, 60, 80, 100])
def test_a_disk_that_is_full(kib, tiny, mounted):
    folder = mounted(f"size={kib}k") / "run"
    with pytest.raises((StoreError, RequestError), match=FULL) as caught:
        bequest.run(tiny.recipe, out=folder)
    assert caught.value.exit_code == 3
    assert not list(folder.rglob("*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=10m", folder.parent], check=True)
    resume_here(tiny, folder)


def failing(code):
    def fail(event):
        raise OSError(code, os.strerror(code))

    return fail


def survive_full_disks(whole, folder, every):
    """Fail at the nth writing operation, and at all after it, for each n in turn."""
    for nth in every:
        operations = FileOperations(folder, nth, failing(errno.ENOSPC), GROWING)
        again = (folder / "run.json").exists()
        with operations, pytest.raises((StoreError, RequestError), match=FULL):
            bequest.run(whole.recipe, out=folder, resume=again)
        assert operations.count >= nth
    resume_here(whole, folder)


def test_a_disk_that_is_full_at_each_of_the_first_writes(tiny, tmp_path):
    survive_full_disks(tiny, tmp_path / "run", [*range(1, 20), 40, 60])


@pytest.mark.long
@pytest.mark.parametrize("offset", range(8))
def test_a_disk_that_is_full_at_any_write(offset, tiny, tmp_path):
    survive_full_disks(tiny, tmp_path / "run", range(1 + offset, 60, 8))


def test_a_full_disk_ends_the_command_with_code_3(tiny, tmp_path, capsys):
    folder = tmp_path / "run"
    with FileOperations(folder, 30, failing(errno.ENOSPC), GROWING):
        code, said = said_by(capsys, "run", tiny.recipe, "--out", folder)
    assert code == 3
    assert FULL in said
    assert "--resume" in said


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cant_be_written_is_refused_before_the_work(code, tiny, tmp_path, capsys):
    folder = tmp_path / "run"
    with FileOperations(folder, 1, failing(code), GROWING):
        ended, said = said_by(capsys, "run", tiny.recipe, "--out", folder)
    assert ended == 2
    assert "choose another folder with --out" in said
    assert not folder.exists()


def test_a_read_only_file_system_is_refused_before_the_work(tiny, mounted, capsys):
    code, said = said_by(capsys, "run", tiny.recipe, "--out", mounted("ro") / "run")
    assert code == 2
    assert "read-only" in said


# --- Folders that are taken ----------------------------------------------------------------


def test_folders_that_are_taken_are_refused(tiny, tmp_path, capsys):
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "thesis.txt").write_text("years of work")
    file.write_text("")
    for place, why in ((full, "not empty"), (file, "is a file"), (file / "in", "can't be made")):
        code, said = said_by(capsys, "run", tiny.recipe, "--out", place)
        assert code == 2
        assert why in said or "could not be written" in said
    assert (full / "thesis.txt").read_text() == "years of work"
    assert [path.name for path in full.iterdir()] == ["thesis.txt"]


def test_what_a_run_left_that_died_at_once_is_no_stranger(tiny, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").write_text("123")
    (folder / ".run.json.tmp").write_text("{")
    resume_here(tiny, folder)


def test_a_run_of_another_recipe_is_not_gone_on_with(cut, tiny, capsys):
    code, said = said_by(
        capsys, "run", tiny.recipe, "--out", cut, "--resume", "--set", "fit.epochs=4"
    )
    assert code == 2
    assert "epochs: 3 -> 4" in said
    resume_here(tiny, cut)


def test_a_clock_that_goes_backwards_is_harmless(tiny, tmp_path, monkeypatch):
    import time

    monkeypatch.setattr(time, "time", iter(range(10**9, 0, -3600)).__next__)
    bequest.run(tiny.recipe, out=tmp_path / "run")
    assert contents(tmp_path / "run") == tiny.contents


def test_a_half_written_line_of_the_log_is_taken_back(tmp_path):
    import resource

    from bequest.store.log import Log

    log = Log(tmp_path / "log.jsonl")
    log.write("began")
    before = (tmp_path / "log.jsonl").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(StoreError, match="ulimit"):
            log.write("fit", step=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert (tmp_path / "log.jsonl").read_bytes() == before
