"""The snippets of docs/tasks.md are what tasks take."""

import re
from pathlib import Path

import pytest
import yaml

from bequest.core.find import find, known

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TASKS = {name: task for one in SNIPPETS for name, task in yaml.safe_load(one)["tasks"].items()}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_of_the_page_has_no_unknown_field(name):
    settings = dict(TASKS[name])
    spec = find("tasks", settings.pop("use"))(**settings)
    gone = [one for one in spec.check() if "doesn't exist" not in one.what]
    assert not gone


def test_every_task_is_named():
    assert set(known("tasks")) <= set(re.findall(r"`(\w+)`", PAGE))
