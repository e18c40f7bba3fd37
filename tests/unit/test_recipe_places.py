"""A recipe names files and modules relative to itself."""

import sys
from pathlib import Path

import pytest

from bequest.core.errors import RequestError
from bequest.runner.preparing import inspect

ROWS = "a,b,label\n" + "".join(f"{i},{i % 7},{'yes' if i % 2 else 'no'}\n" for i in range(40))
RECIPE = """
models: {{student: {{use: "{module}:build"}}}}
tasks: {{t: {{use: csv, path: {path}}}}}
method: {{use: finetune}}
"""


@pytest.fixture
def elsewhere(workdir):
    """A folder with a recipe, data and a module, beside the working folder."""
    folder = workdir / "project"
    folder.mkdir()
    (folder / "rows.csv").write_text(ROWS)
    (folder / "my_net_beside.py").write_text("def build(shape, labels):\n    return None\n")
    yield folder
    sys.path[:] = [path for path in sys.path if path != str(folder)]
    sys.modules.pop("my_net_beside", None)


def recipe(folder, path="rows.csv", module="my_net_beside"):
    (folder / "r.yaml").write_text(RECIPE.format(path=path, module=module))
    return folder / "r.yaml"


def path_of(source, *overrides):
    _, plan = inspect(source, overrides)
    return plan.resolved["tasks"]["t"]["path"]


def test_files_and_modules_beside_a_recipe_are_found_from_anywhere(elsewhere):
    assert path_of(recipe(elsewhere)) == str(Path("project", "rows.csv"))


def test_from_its_own_folder_a_recipe_is_read_as_written(elsewhere, monkeypatch):
    source = recipe(elsewhere)
    monkeypatch.chdir(elsewhere)
    assert path_of(source) == "rows.csv"


def test_what_is_not_beside_it_starts_at_the_working_folder(elsewhere):
    Path("more.csv").write_text(ROWS)
    assert path_of(recipe(elsewhere, "more.csv")) == "more.csv"


def test_the_file_beside_the_recipe_comes_first(elsewhere):
    Path("rows.csv").write_text("other\n1\n")
    assert path_of(recipe(elsewhere)) == str(Path("project", "rows.csv"))


def test_a_path_of_the_command_line_starts_at_the_working_folder(elsewhere):
    Path("rows.csv").write_text(ROWS)
    assert path_of(recipe(elsewhere), "tasks.t.path=rows.csv") == "rows.csv"


def test_each_of_two_recipes_names_what_lies_beside_it(elsewhere):
    recipe(elsewhere)
    Path("top.yaml").write_text("extend: project/r.yaml\nfit: {epochs: 2}\n")
    assert path_of(Path("top.yaml")) == str(Path("project", "rows.csv"))


def test_a_path_that_leads_nowhere_says_where_it_was_looked_for(elsewhere):
    with pytest.raises(RequestError, match="start at the recipe's folder, else at the working"):
        inspect(recipe(elsewhere, "row.csv"))
