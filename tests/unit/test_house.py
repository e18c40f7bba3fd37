"""The house's own rules of style, held by numbers."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
from pathlib import Path

import bequest

HOUSE = Path(bequest.__file__).parent
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = sorted(HOUSE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def lengths():
    """Lines of every function by its place, decorators and docstring among them."""
    return {
        f"{path.relative_to(HOUSE)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, FUNCTION)
    }


def public(body):
    """Definitions that others may use, those inside public classes among them."""
    for node in body:
        if isinstance(node, (*FUNCTION, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def test_there_is_a_house():
    assert len(FILES) > 50
    assert len(lengths()) > 300


def test_files_are_short():
    long = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
            for path in [*FILES, *(ROOT / "scripts").glob("*.py")]}  # fmt: skip
    assert not {name: lines for name, lines in long.items() if lines >= 400}


def test_functions_are_short():
    found = lengths()
    assert not {name: lines for name, lines in found.items() if lines > 80}
    assert statistics.median(found.values()) <= 12
    assert statistics.quantiles(found.values(), n=10)[-1] <= 45


def test_every_public_thing_is_documented():
    things = {
        f"{path.relative_to(HOUSE)}:{getattr(node, 'lineno', 0)}": node
        for path, tree in TREES.items()
        for node in [tree, *public(tree.body)]
    }
    assert not [place for place, node in things.items() if not ast.get_docstring(node)]


def test_the_public_interface_is_what_it_says():
    assert set(bequest.__all__) == {*bequest._PUBLIC, "__version__"}
    assert all(getattr(bequest, name) is not None for name in bequest.__all__)


def test_types_are_shipped():
    assert (HOUSE / "py.typed").exists()


def test_warnings_are_errors_and_the_long_tier_is_left_out():
    options = PROJECT["tool"]["pytest"]["ini_options"]
    assert options["filterwarnings"] == ["error"]
    assert "-m 'not long'" in options["addopts"]


def test_every_room_stands_in_the_import_contract():
    (contract,) = PROJECT["tool"]["importlinter"]["contracts"]
    named = {room.strip() for layer in contract["layers"] for room in layer.split("|")}
    rooms = {f"bequest.{path.parent.name}" for path in HOUSE.glob("*/__init__.py")}
    assert rooms - {"bequest.benchmarks"} <= named


def test_everything_that_is_needed_is_pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    pinned = dict(line.lower().split("==") for line in lines)
    needed = [*PROJECT["project"]["dependencies"]]
    needed += PROJECT["project"]["optional-dependencies"]["test"]
    names = {re.match(r"[\w-]+", line)[0].lower() for line in needed}
    assert names <= pinned.keys()
    assert not [version for version in pinned.values() if not re.fullmatch(r"[\w.]+", version)]
