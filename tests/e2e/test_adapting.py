"""The recipe of noise as a source, cut short, and its page in a real browser."""

import pytest
from browser import Browser, chromium

import bequest
from bequest.report.page import PAGE

pytestmark = pytest.mark.long

STEPS = ("common", "shuffled", "uniform", "classes", "real")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    short = [f"steps.{step}.fit.steps=30" for step in STEPS]
    place = tmp_path_factory.mktemp("noise") / "run"
    return bequest.run("noise-as-source", out=place, seeds=[0], overrides=short)


def test_sources_are_told_apart_by_their_losses(run):
    matrix = run.matrix
    assert matrix.tasks == ("digits",)
    rows = {row.step: number for number, row in enumerate(matrix.rows)}
    losses = {step: matrix.value("source_loss", rows[step]).value for step in STEPS}
    assert losses["classes"] < losses["real"] < losses["uniform"]


def test_the_page_draws_whether_they_were_useful(run, tmp_path):
    chromium()
    with Browser(tmp_path / "profile") as page:
        for width in (1280, 390):
            page.size(width, 900)
            page.open(run.path / PAGE)
            heading = (
                "[...document.querySelectorAll('h2')].find(h => /source was/.test(h.innerText))"
            )
            assert page.js(f"{heading}.parentElement.querySelectorAll('svg[role=img]').length") == 2
            assert page.js("document.documentElement.scrollWidth") <= width
        assert not page.problems
