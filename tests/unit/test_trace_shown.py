"""A traced student from the run to the page."""

from __future__ import annotations

import re

import pytest

import bequest
from bequest.report.page import write_page
from bequest.store.files import read_json

RECIPE = {
    "models": {"student": {"use": "dkt", "width": 6}},
    "tasks": {"pupils": {"use": "trace", "generated": {"students": 60, "answers": 12}}},
    "method": {"use": "dkt"},
    "fit": {"epochs": 2, "batch_size": 16},
    "gate": ["auc(pupils) >= 0.2", "mastery_error(pupils) <= 0.5"],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return bequest.run(RECIPE, out=str(tmp_path_factory.mktemp("trace") / "run"))


def test_the_task_is_judged_by_the_area_over_students(run):
    assert run.matrix.primary("pupils") == "auc"
    found = run.matrix.value("auc", 1, "pupils")
    assert 4 <= found.units <= 22
    assert found.n == found.units * 11
    assert found.low < found.value < found.high


def test_two_students_are_kept_for_the_page(run):
    shown = read_json(run.path / "exhibits" / "exhibits.json")["mastery"]
    assert len(shown) == 2
    for one in shown:
        (stage,) = one["stages"]  # untrained models are not shown
        assert len(stage["mastery"]) == len(one["concepts"])
        assert {len(row) for row in stage["mastery"]} == {len(one["asked"])} == {12}
        assert len(one["known"]) == 12


def test_the_map_is_a_table_that_says_what_it_shows(run):
    page = write_page(run.path).read_text()
    section = page.partition("What students know</h2>")[2].partition("</section>")[0]
    shown = read_json(run.path / "exhibits" / "exhibits.json")["mastery"]
    assert section.count('class="mastery"') == 2
    for word, right in (("right", 1), ("wrong", 0)):
        marked = sum(
            answer == right and asked in one["concepts"]
            for one in shown
            for asked, answer in zip(one["asked"], one["right"], strict=True)
        )
        assert section.count(f"answered {word}</span>") == marked
    value = shown[0]["stages"][0]["mastery"][0][0]
    level = round(10 * value)
    first = re.search(r'<td title="([^"]*)" class="(k\d+)">', section)
    assert first[1].startswith(f"{value:.0%}")
    assert first[2] == f"k{level}"


def test_a_run_without_students_has_no_such_section(tmp_path):
    recipe = {"models": {"student": {"use": "mlp", "hidden": [4]}}, "tasks": {"t": {"use": "wine"}},
              "method": {"use": "finetune"}, "fit": {"epochs": 1}}  # fmt: skip
    run = bequest.run(recipe, out=str(tmp_path / "run"))
    assert "What students know" not in write_page(run.path).read_text()
