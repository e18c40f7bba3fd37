"""What a recipe names and is not here is fetched before anything else."""

from __future__ import annotations

import pytest

from bequest.build.assets import fetch
from bequest.core.progress import Silent
from bequest.runner.fetching import fetch_assets
from bequest.runner.preparing import inspect


@pytest.fixture
def asked(workdir, monkeypatch):
    monkeypatch.setenv("BEQUEST_CACHE", str(workdir / "cache"))
    names = []
    monkeypatch.setattr(fetch, "fetched", lambda name, progress: names.append(name))
    return names


def test_each_asset_once_however_deep_it_is_named(asked):
    _, plan = inspect("quickstart-llm")
    fetch_assets(plan, Silent())
    assert list(dict.fromkeys(asked)) == ["smollm2-135m", "python-text"]


def test_a_folder_of_the_users_own_counts_more_than_an_asset(asked, workdir):
    for part in ("code", "documentation", "licences"):
        (workdir / "python-text" / part).mkdir(parents=True)
    _, plan = inspect("quickstart-llm")
    fetch_assets(plan, Silent())
    assert asked == ["smollm2-135m"]


def test_recipes_without_assets_ask_for_none(asked):
    _, plan = inspect("quickstart")
    fetch_assets(plan, Silent())
    assert asked == []
