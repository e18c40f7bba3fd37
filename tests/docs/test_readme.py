"""Every command and snippet of the README, run as a reader would."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GATE_SAYS = (0, 1)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands():
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [part.strip() for line in lines if line for part in line.split("&&")]


def bequest(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "bequest", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )


def test_the_two_commands_are_what_ci_runs():
    ours = [command for command in commands() if not command.startswith("bequest")]
    assert ours == [
        "pip install -c constraints.txt .",
        "pip install -c constraints.txt -e '.[test]'",
        "pytest -n auto",
    ]
    assert "README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_table_of_methods_is_up_to_date():
    found = subprocess.run(
        [sys.executable, ROOT / "scripts" / "methods_table.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_every_bequest_command_runs_in_order(workdir):
    for command in commands():
        program, *arguments = shlex.split(command)
        if program != "bequest":
            continue
        found = bequest(*arguments, cwd=workdir)
        assert found.returncode in GATE_SAYS, (command, found.stderr)
        assert "Traceback" not in found.stderr
        assert found.stdout, command
    assert (workdir / "runs" / "quickstart" / "metrics.json").exists()
    assert (workdir / "runs" / "quickstart-2").exists()


@pytest.mark.long
def test_the_python_snippet_runs(workdir):
    (snippet,) = blocks("python")
    names: dict = {}
    exec(compile(snippet, "README.md", "exec"), names)
    assert "distil" in repr(names["run"].matrix)
    assert isinstance(names["run"].verdict.passed, bool)


@pytest.mark.long
def test_the_recipe_runs_on_a_strangers_model_and_photos(workdir):
    from transformers import ViTConfig, ViTForImageClassification

    names = ["cup", "hat", "pen"]
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        (workdir / "photos" / name).mkdir(parents=True)
        for index in range(30):
            pixels = rng.integers(0, 80, (48, 48, 3)) + 80 * np.eye(3, dtype=int)[number]
            picture = Image.fromarray(pixels.astype(np.uint8))
            picture.save(workdir / "photos" / name / f"{index}.png")
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8, id2label=dict(enumerate(reversed(names))),
        label2id={name: number for number, name in enumerate(reversed(names))},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(workdir / "our-model")
    (recipe,) = blocks("yaml")
    (workdir / "shop.yaml").write_text(recipe, encoding="utf-8")
    found = bequest("run", "shop.yaml", "--set", "fit.epochs=2", "--seeds", "1", cwd=workdir)
    assert found.returncode in GATE_SAYS, found.stderr
    assert "negative_flips(shop) vs tune" in found.stdout
    assert len(recipe.splitlines()) <= 25
