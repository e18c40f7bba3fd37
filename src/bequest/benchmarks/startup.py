"""What a command costs before it does anything: CPU time of whole processes, torch out of reach."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bequest.benchmarks._side_by_side import machine, now, row, since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bequest.benchmarks._side_by_side import Times

PROMISE = "CPU seconds: --help and list 0.25, a recipe with mistakes 0.5, gate 0.5; none has torch"
MOST = {"--help": 0.25, "list": 0.25, "a recipe with mistakes": 0.5, "gate": 0.5}
FLOOR = "python"
ROUNDS = 6
# With None in its place, importing torch is an error.
BLOCKED = "import sys; sys.modules['torch'] = None; from bequest.cli import main; main()"
RECIPE = """\
schema: 1
models: {teacher: {use: mlp}, student: {use: mlp, hidden: [8]}}
tasks: {wine: {use: wine}}
steps:
  - {name: teach, method: {use: finetune}, models: {student: teacher}}
  - {name: distil, method: {use: kd}, models: {teacher: teach.student}}
fit: {epochs: 1}
seeds: [0, 1, 2]
gate: [accuracy(wine) >= 0, accuracy(wine) @ distil vs teach >= -100%]
"""
WRONG = RECIPE.replace("epochs: 1", "epochs: -1").replace("hidden", "hiden").replace("kd", "kt")


def bench(rounds: int = ROUNDS) -> dict[str, Any]:
    """A row for each command; a command that needs torch or ends otherwise is void."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(Path(folder), rounds)
    kept = all("void" not in row and _least(row) <= MOST[row["what"]] for row in rows)
    return {
        "name": "startup",
        "promise": PROMISE,
        "kept": kept,
        "rows": rows,
        "machine": machine(),
    }


def _least(row: dict[str, Any]) -> float:
    return float(row["cpu"][row["what"]]["min"])


def _rows(folder: Path, rounds: int) -> list[dict[str, Any]]:
    (folder / "right.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    made = _run(["-m", "bequest", "run", "right.yaml", "--out", "run"], folder)
    commands = {
        "--help": (["--help"], 0),
        "list": (["list"], 0),
        "a recipe with mistakes": (["run", "wrong.yaml"], 2),
        "gate": (["gate", "run"], 0),
    }
    ways = {FLOOR: (["-c", "pass"], 0)}
    ways |= {name: (["-c", BLOCKED, *words], code) for name, (words, code) in commands.items()}
    times: dict[str, list[Times]] = {name: [] for name in ways}
    wrong: dict[str, str] = {} if made == 0 else {"gate": "there is no run to judge"}
    for number in range(rounds):
        for name, (words, expected) in ways.items():
            seconds, code = _timed(words, folder)
            times[name] += [seconds] if number else []
            if code != expected:
                wrong.setdefault(name, f"exit code {code}, expected {expected}")
    return [
        {"what": name, "void": wrong[name]}
        if name in wrong
        else row(name, {each: times[each] for each in (FLOOR, name)})
        for name in commands
    ]


def _timed(words: Sequence[str], folder: Path) -> tuple[Times, int]:
    began, before = now(), _children()
    code = _run(words, folder)
    return {**since(began, now()), "cpu": _children() - before}, code


def _children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _run(words: Sequence[str], folder: Path) -> int:
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)  # noqa: S603
    return done.returncode
