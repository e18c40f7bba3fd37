"""Every snippet of the documentation is true: files, commands, recipes, scripts."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import time
from functools import cache

import pytest
import yaml
from browser import Browser
from jsonschema import Draft202012Validator
from snippets import DOCS, EXIT, PAGES, ROOT, blocks, clone, done, follow

from bequest.cli import app
from bequest.core.find import find, known
from bequest.measure.contrasts import METRICS
from bequest.recipe.jsonschema import json_schema
from bequest.recipe.names import recipe_path

RECIPES = [
    pytest.param(block.text, id=f"{page}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page))
    if block.language == "yaml" and not block.mark and not block.title.startswith(".github")
]
RUN = [page for page in PAGES if any(block.is_run for block in blocks(page))]
IN_A_CLONE = ("guides/own-method.md",)
LANGUAGES = {"sh", "python", "yaml", "text"}


@cache
def schema():
    return Draft202012Validator(json_schema())


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_checked(page):
    odd = [block for block in blocks(page) if block.language not in LANGUAGES and not block.mark]
    assert not odd
    text = (DOCS / page).read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(blocks(page))


@pytest.mark.parametrize("page", PAGES)
def test_python_is_python(page):
    for block in blocks(page):
        if block.language == "python":
            ast.parse(block.text)


@pytest.mark.parametrize("text", RECIPES)
def test_yaml_is_a_recipe_or_part_of_one(text):
    told = yaml.safe_load(text)
    whole = {"models", "tasks"} <= told.keys() and {"method", "steps"} & told.keys()
    extended = told if whole else {"extend": "kd", **told}
    assert not [error.message for error in schema().iter_errors(extended)]


@pytest.mark.long
@pytest.mark.parametrize("page", RUN)
def test_a_reader_can_follow_the_page(page, tmp_path):
    if page in IN_A_CLONE:
        clone(tmp_path)
    follow(page, tmp_path)


(WORKFLOW,) = (block.text for block in blocks("guides/gate-ci.md") if "github" in block.title)


def workflow():
    return yaml.load(WORKFLOW, yaml.BaseLoader)  # `on` stays a word


def test_the_workflow_is_one():
    told = workflow()
    assert set(told) == {"name", "on", "permissions", "concurrency", "jobs"}
    steps = told["jobs"]["gate"]["steps"]
    assert all(("uses" in step) != ("run" in step) for step in steps)
    assert all(
        re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step
    )
    kept = next(step for step in steps if "upload" in step.get("uses", ""))
    assert "runs/shop/report.html" in kept["with"]["path"]
    assert kept["if"] == "always()"


@pytest.mark.long
def test_the_workflows_own_commands_judge(tmp_path, monkeypatch):
    follow("guides/gate-ci.md", tmp_path)
    summary = tmp_path / "summary.md"
    monkeypatch.setitem(os.environ, "GITHUB_STEP_SUMMARY", str(summary))
    steps = {step.get("name"): step.get("run") for step in workflow()["jobs"]["gate"]["steps"]}
    for name in ("Check the recipe", "Run it", "Judge it"):
        done(["bash", "-e", "-c", steps[name]], tmp_path)
    assert "accuracy(wine)" in summary.read_text()
    assert (tmp_path / "verdict.xml").read_text().startswith("<?xml")
    (tmp_path / "rules.txt").write_text("accuracy(wine) vs baseline >= 50%\n")
    done(["bash", "-e", "-c", steps["Judge it"]], tmp_path, "1")


def test_exit_codes_are_read():
    assert EXIT.search("bequest gate x  # exit code 1")[1] == "1"
    assert not EXIT.search("bequest gate x")


def test_contributing_names_what_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests|docs|scripts|src|evidence)/?[\w/.]*)`", text)
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.fixture(scope="session")
def made():
    """The pages that are made from the code, by path."""
    sys.path.insert(0, str(ROOT / "scripts"))
    parts, reference = map(importlib.import_module, ("docs_parts", "docs_reference"))
    sys.path.remove(str(ROOT / "scripts"))
    return dict([*parts.pages(), *reference.pages()])


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_every_metric_has_a_formula_with_balanced_brackets(metric):
    assert metric.formula
    for opened, closed in ("()", "[]", "{}"):
        assert metric.formula.count(opened) == metric.formula.count(closed)


def test_every_metric_is_on_its_page(made):
    text = made["reference/metrics.md"]
    assert not [one for one in METRICS.values() if f"{one.name} = {one.formula}" not in text]


@pytest.mark.parametrize("kind", ["methods", "models", "tasks"])
def test_every_part_has_a_page_with_all_its_fields(kind, made):
    for name in known(kind):
        text = made[f"reference/{kind}/{name}.md"]
        fields = find(kind, name).model_json_schema().get("properties", {})
        assert not [field for field in fields if f"| `{field}` |" not in text]


def test_a_method_page_tells_its_claim_and_marks_what_to_edit(made):
    text = made["reference/methods/kd.md"]
    record = json.loads((ROOT / "evidence" / "kd.json").read_text())
    (demand,) = record["demands"]
    assert f"{demand['interval'][0]:.1f} … {demand['interval'][1]:.1f}" in text
    recipe = recipe_path("kd").read_text()
    assert recipe in text
    marked = [int(line) for line in re.search(r'hl_lines="([\d ]+)"', text)[1].split()]
    lines = [recipe.splitlines()[number - 1].split(":")[0].strip() for number in marked]
    assert lines == ["teacher", "student", "digits"]


def test_every_command_is_on_its_page(made):
    text = made["reference/cli.md"]
    assert not [one.name for one in app.registered_commands if f"## bequest {one.name}" not in text]


def test_words_of_docstrings_become_lists_and_mean_nothing_to_markdown(made):
    words = sys.modules["docs_words"]
    assert words.prose("name: what_it is\n    goes on\nother: a < b") == (
        "- `name`: what\\_it is goes on\n- `other`: a &lt; b"
    )
    assert words.escaped("`a_b` a_b") == "`a_b` a\\_b"


def until(browser, expression):
    """Wait for something to become true in the page."""
    assert any(browser.js(expression) or time.sleep(0.1) for _ in range(300)), expression


def build(folder):
    found = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr


@pytest.mark.long
def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path):
    build(tmp_path / "site")
    fetched = re.compile(r'(?:src|<link[^>]* href)="(?:https?:)?//')
    pages = list((tmp_path / "site").rglob("*.html"))
    assert not [page for page in pages if fetched.search(page.read_text(encoding="utf-8"))]


@pytest.mark.long
def test_the_search_works_from_a_folder_without_a_network(tmp_path):
    build(tmp_path / "site")
    with Browser(tmp_path / "profile") as browser:
        browser.open(tmp_path / "site" / "index.html")
        said = "document.querySelector('.md-search-result__meta').textContent"
        browser.js("document.querySelector('label.md-search__icon').click()")
        browser.js("document.querySelector('.md-search__input').focus()")
        until(browser, f"{said}.includes('Type to start')")
        for letter in "forgetting":
            browser.call("Input.dispatchKeyEvent", type="keyDown", text=letter, key=letter)
            browser.call("Input.dispatchKeyEvent", type="keyUp", key=letter)
        until(browser, f"{said}.includes('matching documents')")
        assert not browser.problems
