"""Run folders: one writer at a time, and names that can be found again."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bequest.core.errors import RequestError, RunBusy, StoreError
from bequest.store.files import atomic, atomic_folder, read_json, write_json, write_text
from bequest.store.folder import RunFolder, latest_folder, new_folder
from bequest.store.log import Log


def test_a_folder_is_claimed_by_one_at_a_time(tmp_path):
    path = tmp_path / "runs" / "deep"
    refused = pytest.raises(RunBusy, match=f"process {os.getpid()} is writing")
    with RunFolder(path), refused, RunFolder(path):
        pass
    with RunFolder(path):
        pass


def test_who_was_refused_did_no_harm_to_the_first(tmp_path):
    with RunFolder(tmp_path) as first:
        for _ in range(2):
            with pytest.raises(RunBusy), RunFolder(tmp_path):
                pass
        first.write({"recipe": {}})
        assert first.read() == {"recipe": {}}


def test_another_process_is_refused_and_a_killed_one_leaves_nothing(tmp_path):
    program = (
        "import sys, pathlib; from bequest.store.folder import RunFolder\n"
        "with RunFolder(pathlib.Path(sys.argv[1])):\n"
        "    print('claimed', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"claimed\n"
        with pytest.raises(RunBusy, match=f"process {other.pid} "), RunFolder(tmp_path):
            pass
        other.kill()
    with RunFolder(tmp_path):
        pass


def test_the_claim_ends_when_the_work_fails(tmp_path):
    with pytest.raises(KeyError), RunFolder(tmp_path):
        raise KeyError
    with RunFolder(tmp_path):
        pass


def test_a_folder_that_can_not_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError), RunFolder(tmp_path / "file" / "run"):
        pass


def test_a_run_is_there_from_its_first_record_on(tmp_path):
    folder = RunFolder(tmp_path)
    assert not folder.exists()
    with pytest.raises(RequestError, match="holds no run"):
        folder.read()
    folder.write({"recipe": {"seeds": [0]}, "status": "running"})
    assert folder.exists()
    assert folder.read()["status"] == "running"


@pytest.mark.parametrize("content", ['{"no": "recipe"}', "[]", "3"])
def test_what_is_no_record_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RequestError, match="not a run's record"):
        RunFolder(tmp_path).read()


@pytest.mark.parametrize("content", ["", "{", '{"recipe": ', "\0", "[" * 100_000])
def test_a_damaged_record_is_said(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(StoreError, match="damaged"):
        RunFolder(tmp_path).read()


def test_every_seed_step_and_role_has_a_place_of_its_own(tmp_path):
    folder = RunFolder(tmp_path)
    places = [
        folder.journal(0),
        folder.journal(1),
        folder.model("a", "student", 0),
        folder.model("a", "student", 1),
        folder.model("a", "teacher", 0),
        folder.model("b", "student", 0),
        folder.pack("a", 0, "delta"),
        folder.pack("a", 1, "delta"),
        folder.pack("a", 0, "mask"),
    ]
    assert len(set(places)) == len(places)
    assert all(place.is_relative_to(tmp_path) for place in places)


def test_dropping_the_journal_keeps_the_rest(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write({"recipe": {}})
    write_text(folder.journal(0) / "step" / "0000.json", "{}")
    folder.drop_journal()
    folder.drop_journal()
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def begun(runs, *names):
    for name in names:
        RunFolder(runs / name).write({"recipe": {}})


def test_a_new_folder_takes_the_first_free_number(tmp_path):
    assert new_folder(tmp_path, "kd").name == "kd"
    begun(tmp_path, "kd", "kd-2", "kd-4")
    assert new_folder(tmp_path, "kd").name == "kd-3"


def test_the_latest_folder_has_the_highest_number(tmp_path):
    assert latest_folder(tmp_path / "none", "kd") is None
    assert latest_folder(tmp_path, "kd") is None
    begun(tmp_path, "kd", "kd-2", "kd-10", "kd-x", "kdx-99", "other-50")
    (tmp_path / "kd-77").mkdir()
    assert latest_folder(tmp_path, "kd").name == "kd-10"
    assert latest_folder(tmp_path, "k.") is None


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with pytest.raises(KeyError), atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert list(path.parent.iterdir()) == []
    write_text(path, "first")
    with pytest.raises(KeyError), atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_json_is_text_for_people_and_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"größe": [1, None]})
    assert "größe" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"größe": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == {"größe": [1, None]}


def test_a_file_beyond_its_limit_is_not_read(tmp_path):
    write_json(tmp_path / "a.json", "x" * 100)
    with pytest.raises(StoreError, match="at most 50"):
        read_json(tmp_path / "a.json", limit=50)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(StoreError, match="could not be read"):
        read_json(tmp_path / "none.json")


def test_the_log_has_a_line_an_event_and_goes_on(tmp_path):
    for number in range(2):
        Log(tmp_path / "log.jsonl").write("fit", step=number, note="a\nb")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["event"], line["step"], line["note"]) for line in lines] == [
        ("fit", 0, "a\nb"),
        ("fit", 1, "a\nb"),
    ]
    assert lines[0]["time"] <= lines[1]["time"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with atomic_folder(tmp_path / "a" / "model") as fresh:
        (fresh / "one").write_text("1")
        assert not (tmp_path / "a" / "model").exists()
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "a" / "model") as fresh:
        (fresh / "two").write_text("2")
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["model"]
    assert [path.name for path in (tmp_path / "a" / "model").iterdir()] == ["one"]
    with atomic_folder(tmp_path / "a" / "model") as fresh:
        (fresh / "two").write_text("2")
    assert [path.name for path in (tmp_path / "a" / "model").iterdir()] == ["two"]


def test_a_folder_that_cant_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError, match="could not be written"),
        atomic_folder(tmp_path / "file" / "model"),
    ):
        pass
