"""The page about the doctor says what the doctor does."""

from __future__ import annotations

import re
from pathlib import Path

import bequest
from bequest.cli.doctor import _lines
from bequest.runner.doctor import activations, gradients, leaks, modes, samples, terms

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
WINE = {
    "models": {"student": {"use": "mlp", "hidden": [16]}},
    "tasks": {"wine": {"use": "wine"}},
    "method": {"use": "finetune"},
    "fit": {"epochs": 2},
}


def test_the_snippet_runs_and_says_what_the_command_prints(workdir, capsys):
    (snippet,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    bequest.run(WINE, out="runs/quickstart")
    exec(snippet, {})
    assert capsys.readouterr().out == ("left out: too few samples the recipe has no gate rules\n")
    (shown,) = re.findall(r"^looked for: (.*)$", PAGE, re.MULTILINE)
    said = list(_lines(bequest.doctor("runs/quickstart")))
    assert said[0] == "runs/quickstart: finished"
    assert set(said[1].removeprefix("looked for: ").split(", ")) == {
        name for name in shown.split(", ") if name != "too few samples"
    }


def test_every_kind_of_finding_has_its_row():
    rows = re.findall(r"^\| ([a-z ]+) \| ", PAGE, re.MULTILINE)
    kinds = [each.NAME for each in (terms, modes, gradients, samples, leaks)]
    assert rows[1:] == [*kinds, activations.DEAD, activations.EXPLODING]
