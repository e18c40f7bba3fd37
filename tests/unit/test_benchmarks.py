"""Every benchmark in a short form: it runs, its ways agree, its ratios are not absurd.

Times are nobody's promise on a machine that does other things; only ratios are held, with slack.
"""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path

import pytest

import bequest.benchmarks
from bequest.benchmarks._side_by_side import machine, one_thread, row, side_by_side
from bequest.lazy import torch

SLACK = 1.25
SHORT = {
    "apply_pack": {"vectors": 8_192, "rounds": 3},
    "continual": {"rounds": 2, "epochs": 1},
    "journal": {"rounds": 2, "overrides": ["fit.epochs=1"], "width": 256},
    "matrix": {"rounds": 3},
    "memory": {"width": 512, "layers": 3},
    "overhead": {"rounds": 8, "steps": {128: 300, 1024: 300}},
    "pack": {"rounds": 2, "layers": 1},
    "startup": {"rounds": 2},
    "teacher_cache": {"rounds": 3, "samples": 4_000},
    "tracing": {"rounds": 2, "batch": 8, "answers": 40},
    "unlearn": {"rounds": 3, "tokens": 16, "layers": 2, "width": 64},
}


def known():
    room = Path(bequest.benchmarks.__file__).parent
    return sorted(path.stem for path in room.glob("*.py") if not path.name.startswith("_"))


@functools.cache
def short(name):
    return importlib.import_module(f"bequest.benchmarks.{name}").bench(**SHORT[name])


def test_every_benchmark_has_a_short_form():
    assert sorted(SHORT) == known()


@pytest.mark.long
@pytest.mark.parametrize("name", SHORT)
def test_a_benchmark_compares_only_what_is_equal(name):
    found = json.loads(json.dumps(short(name), allow_nan=False))
    assert list(found) == ["name", "promise", "kept", "rows", "machine"]
    assert found["name"] == name
    assert isinstance(found["kept"], bool)
    assert [row["what"] for row in found["rows"] if "void" in row] == []
    assert "/" not in json.dumps(found["machine"])


@pytest.mark.long
def test_fit_costs_little_more_than_a_loop_by_hand():
    for found in short("overhead")["rows"]:
        assert found["cpu"]["fit"]["ratio"] < 1.03 * SLACK


@pytest.mark.long
def test_a_cached_teacher_costs_little_more_than_its_answers_at_hand():
    later = short("teacher_cache")["rows"][-1]["cpu"]
    assert later["cached"]["min"] < 1.1 * SLACK * later["soft targets at hand"]["min"]
    assert later["cached"]["min"] < later["live"]["min"]


def test_different_results_are_not_compared():
    found = side_by_side(
        "sum", {"right": lambda: 3, "wrong": lambda: 4}, lambda mine, floor: mine == floor
    )
    assert found == {"what": "sum", "void": "wrong differs from right"}


def test_ways_take_turns_and_the_first_round_is_dropped():
    called = []
    ways = {name: lambda name=name: called.append(name) for name in ("a", "b")}
    found = side_by_side("turns", ways, lambda mine, floor: mine == floor, rounds=3)
    assert called == ["a", "b"] * 3
    assert found["floor"] == "a"
    assert set(found["wall"]) == {"a", "b"}


def test_ratios_are_of_the_smallest_times():
    seconds = {"a": [2.0, 1.0, 4.0], "b": [3.0, 9.0, 5.0]}
    found = row(
        "x", {name: [{"cpu": s, "wall": 2 * s} for s in all_] for name, all_ in seconds.items()}
    )
    assert found["cpu"]["b"] == {"min": 3.0, "median": 5.0, "ratio": 3.0}
    assert found["wall"]["a"] == {"min": 2.0, "median": 4.0, "ratio": 1.0}


def test_torch_gets_its_threads_back():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), one_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == before
    assert machine()["torch"] == torch.__version__
