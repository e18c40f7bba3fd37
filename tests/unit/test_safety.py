"""What the code never does: run what a file says, or leave anything changed behind."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import numpy as np
import pytest

import bequest

HOUSE = Path(bequest.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))

MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {
    "eval", "exec", "compile", "os.system", "yaml.load", "yaml.load_all", "yaml.unsafe_load",
    "yaml.full_load", "torch.load", "torch.save", "torch.jit.load", "torch.hub.load",
}  # fmt: skip
SHELLS = {"shell", "trust_remote_code", "allow_pickle"}


def dotted(node):
    """The name of what is called: `torch.load`."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(source):
    """Everything in a module's source that could run what a file says, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = {alias.name.partition(".")[0] for alias in node.names} & MODULES
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found = {str(node.module).partition(".")[0]} & MODULES | names & CALLS
        elif isinstance(node, ast.Call):
            found = {dotted(node.func)} & CALLS
            found |= {
                word.arg
                for word in node.keywords
                if word.arg in SHELLS
                and not (isinstance(word.value, ast.Constant) and not word.value.value)
            }
        else:
            continue
        yield from (f"line {node.lineno}: {name}" for name in found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(HOUSE).as_posix())
def test_no_module_runs_what_a_file_says(path):
    assert list(dangers(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from torch import load",
        "from dill import loads",
        "torch.load(path)",
        "eval(text)",
        "yaml.load(text)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(words, shell=wanted)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
    ],
)
def test_the_search_finds_what_it_is_for(source):
    assert len(list(dangers(source))) == 1


def test_the_search_leaves_safe_uses_alone():
    safe = "np.load(path, allow_pickle=False)\nmodel.eval()\nyaml.safe_load(text)\nre.compile(word)"
    assert list(dangers(safe)) == []


RECIPE = {
    "models": {"teacher": {"use": "mlp", "hidden": [4]}, "student": {"use": "mlp", "hidden": [2]}},
    "tasks": {"wine": {"use": "wine"}},
    "method": {"use": "kd"},
    "fit": {"epochs": 1, "batch_size": 32},
}


def surroundings():
    """All that a run could leave changed."""
    import torch

    name, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": [name, keys.tolist(), rest],
        "python": random.getstate(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "folder": Path.cwd(),
    }


@pytest.mark.parametrize("deterministic", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("fails", [False, True])
def test_a_run_leaves_nothing_changed(deterministic, fails, workdir):
    import torch

    wanted, warn_only = deterministic
    torch.use_deterministic_algorithms(wanted, warn_only=warn_only)
    try:
        before = surroundings()
        if fails:
            with pytest.raises(bequest.RunError):
                bequest.run(RECIPE, out="run", overrides=["fit.optimizer.lr=1e30"])
        else:
            bequest.run(RECIPE, out="run")
        assert surroundings() == before
    finally:
        torch.use_deterministic_algorithms(False)
